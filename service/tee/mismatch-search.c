/* SPDX-License-Identifier: MIT */
/*
 * The search; see mismatch-search.h. Launches that differ in the processors only share the
 * digest up to the first VMSA, and those that differ in their number only share the chain:
 * 512 numbers cost 512 short hashes.
 */
#include "mismatch-search.h"

#include <string.h>

#include "cpu-types.h"
#include "neighbour-cmdlines.h"

/*
 * Memory contents whose every shape is tried, some 10 ms each: those with one change come
 * first, so only combinations are left out.
 */
#define MEMORIES_MAX 40

#define SIGNATURES_MAX 16
#define FEATURES_MAX 4

/* What lies in memory before the processors: one image, with a command line. */
typedef struct {
    const KhBootParts *parts;
    const char *cmdline;
    const char *image; /* its name; NULL: the expected one */
    const char *label; /* of the command line; NULL: the expected one */
    gboolean alone;    /* the firmware without the kernel */
} Memory;

typedef struct {
    const KhLaunch *launch;
    const guint8 *observed;
    KhLaunchDigest *digest;
    GPtrArray *cmdlines;
    GArray *memories;
    GPtrArray *alone; /* parts of ours without a kernel */
    guint32 signatures[SIGNATURES_MAX];
    guint n_signatures;
    guint64 features[FEATURES_MAX];
    guint n_features;
    guint n_images;
    gboolean cut; /* not every combination is tried */
    guint64 n_candidates;
} Search;

static void
search_clear(Search *self)
{
    g_clear_pointer(&self->digest, kh_launch_digest_free);
    g_clear_pointer(&self->cmdlines, g_ptr_array_unref);
    g_clear_pointer(&self->memories, g_array_unref);
    g_clear_pointer(&self->alone, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Search, search_clear)

void
kh_explanation_free(KhExplanation *self)
{
    g_free(self->text);
    g_free(self);
}

static void
add_signature(Search *self, guint32 signature)
{
    for (guint i = 0; i < self->n_signatures; i++)
        if (self->signatures[i] == signature)
            return;
    if (self->n_signatures < SIGNATURES_MAX)
        self->signatures[self->n_signatures++] = signature;
}

static void
add_features(Search *self, guint64 features)
{
    for (guint i = 0; i < self->n_features; i++)
        if (self->features[i] == features)
            return;
    self->features[self->n_features++] = features;
}

/* The expected ones come first. */
static void
collect_shapes(Search *self)
{
    const KhLaunchShape *shape = &self->launch->shape;
    const KhCpuType *types;
    gsize n;

    types = kh_cpu_type_list(&n);
    add_signature(self, shape->vcpu_signature);
    for (gsize i = 0; i < n && kh_vmm_has_signature(shape->vmm); i++)
        add_signature(self, types[i].signature);
    add_features(self, shape->guest_features);
    add_features(self, 0x0);
    add_features(self, 0x1);
    add_features(self, 0x21);
}

static void
add_memory(Search *self, Memory memory)
{
    if (self->memories->len < MEMORIES_MAX)
        g_array_append_val(self->memories, memory);
    else
        self->cut = TRUE;
}

static gboolean
same_parts(const KhBootParts *one, const KhBootParts *other)
{
    return one->has_kernel == other->has_kernel &&
           memcmp(one->firmware->sha256, other->firmware->sha256, KH_SHA256_SIZE) == 0 &&
           memcmp(one->kernel.sha256, other->kernel.sha256, KH_SHA256_SIZE) == 0 &&
           memcmp(one->initrd.sha256, other->initrd.sha256, KH_SHA256_SIZE) == 0;
}

/* The images that differ from the expected one and from each other. */
static GArray *
collect_images(const KhLaunch *launch, const KhNeighbours *neighbours)
{
    GArray *images = g_array_new(FALSE, FALSE, sizeof(KhNeighbourImage));
    KhNeighbourImage expected = {launch->parts, NULL};
    gsize n = neighbours == NULL ? 0 : neighbours->n_images;

    g_array_append_val(images, expected);
    for (gsize i = 0; i < n && images->len <= KH_NEIGHBOUR_IMAGES_MAX; i++) {
        gboolean known = FALSE;

        for (guint k = 0; k < images->len && !known; k++)
            known = same_parts(g_array_index(images, KhNeighbourImage, k).parts,
                               neighbours->images[i].parts);
        if (!known)
            g_array_append_val(images, neighbours->images[i]);
    }
    return images;
}

/* A view of @parts without its kernel; owned by the search. */
static const KhBootParts *
firmware_alone(Search *self, const KhBootParts *parts)
{
    KhBootParts *alone = g_new0(KhBootParts, 1);

    alone->firmware = parts->firmware;
    g_ptr_array_add(self->alone, alone);
    return alone;
}

static void
add_image(Search *self, const KhNeighbourImage *image, gboolean first_cmdline)
{
    for (guint i = 0; i < self->cmdlines->len && image->parts->has_kernel; i++) {
        const KhNeighbourCmdline *cmdline = self->cmdlines->pdata[i];

        if ((i == 0) == first_cmdline)
            add_memory(self, (Memory){image->parts, cmdline->bytes, image->name,
                                      i == 0 ? NULL : cmdline->label, FALSE});
    }
}

/* Two images may share their firmware. */
static gboolean
has_alone(const Search *self, const KhBootParts *parts)
{
    for (guint i = 0; i < self->memories->len; i++) {
        const KhBootParts *known = g_array_index(self->memories, Memory, i).parts;

        if (!known->has_kernel &&
            memcmp(known->firmware->sha256, parts->firmware->sha256, KH_SHA256_SIZE) == 0)
            return TRUE;
    }
    return FALSE;
}

static void
add_alone(Search *self, const KhNeighbourImage *image)
{
    const KhBootParts *parts =
        image->parts->has_kernel ? firmware_alone(self, image->parts) : image->parts;

    if (has_alone(self, parts))
        return;
    add_memory(self, (Memory){parts, NULL, image->name, NULL, self->launch->parts->has_kernel});
}

/* Those with one change before those with two. */
static void
collect_memories(Search *self, const KhNeighbours *neighbours)
{
    g_autoptr(GArray) images = collect_images(self->launch, neighbours);
    const KhNeighbourImage *all = &g_array_index(images, KhNeighbourImage, 0);

    self->n_images = images->len;
    add_image(self, &all[0], TRUE);
    add_alone(self, &all[0]);
    for (guint i = 1; i < images->len; i++)
        add_image(self, &all[i], TRUE);
    add_image(self, &all[0], FALSE);
    for (guint i = 1; i < images->len; i++)
        add_alone(self, &all[i]);
    for (guint i = 1; i < images->len; i++)
        add_image(self, &all[i], FALSE);
}

/* The number of processors with which @shape on the memory so far has it; 0: none. */
static guint
try_counts(Search *self, const Memory *memory, const KhLaunchShape *shape,
           const guint8 before[KH_LAUNCH_DIGEST_SIZE])
{
    guint8 bsp[KH_LAUNCH_DIGEST_SIZE], ap[KH_LAUNCH_DIGEST_SIZE];

    kh_launch_measure_vmsa(self->digest, memory->parts, shape, TRUE, bsp);
    kh_launch_measure_vmsa(self->digest, memory->parts, shape, FALSE, ap);
    kh_launch_digest_set(self->digest, before);
    for (guint n = 1; n <= KH_MEASURED_VCPUS_MAX; n++) {
        kh_launch_digest_add_vmsa(self->digest, n == 1 ? bsp : ap);
        self->n_candidates++;
        if (memcmp(kh_launch_digest_peek(self->digest), self->observed, KH_LAUNCH_DIGEST_SIZE) == 0)
            return n;
    }
    return 0;
}

/* Whether a shape on @memory has it, and which. */
static gboolean
try_memory(Search *self, const Memory *memory, KhLaunchShape *shape, GError **error)
{
    guint8 before[KH_LAUNCH_DIGEST_SIZE];

    *shape = self->launch->shape;
    shape->vcpus = 0;
    if (!kh_launch_measure_memory(self->digest, memory->parts, memory->cmdline, shape->vmm, error))
        return FALSE;
    memcpy(before, kh_launch_digest_peek(self->digest), KH_LAUNCH_DIGEST_SIZE);
    for (guint s = 0; s < self->n_signatures; s++)
        for (guint f = 0; f < self->n_features && shape->vcpus == 0; f++) {
            shape->vcpu_signature = self->signatures[s];
            shape->guest_features = self->features[f];
            shape->vcpus = try_counts(self, memory, shape, before);
        }
    return kh_launch_digest_check(self->digest, error);
}

G_GNUC_PRINTF(2, 3)
static void
add_change(GPtrArray *changes, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_ptr_array_add(changes, g_strdup_vprintf(format, arguments));
    va_end(arguments);
}

static char *
describe_signature(guint32 signature)
{
    g_autofree char *names = kh_cpu_type_names(signature);

    return names[0] == '\0' ? g_strdup_printf("signature 0x%x", signature)
                            : g_strdup_printf("signature 0x%x (%s)", signature, names);
}

static void
describe_shape(const Search *self, const KhLaunchShape *shape, GPtrArray *changes)
{
    const KhLaunchShape *expected = &self->launch->shape;

    if (shape->vcpus != expected->vcpus)
        add_change(changes, "%u vCPU%s instead of %u", shape->vcpus, shape->vcpus == 1 ? "" : "s",
                   expected->vcpus);
    if (shape->vcpu_signature != expected->vcpu_signature) {
        g_autofree char *found = describe_signature(shape->vcpu_signature);
        g_autofree char *wanted = describe_signature(expected->vcpu_signature);

        add_change(changes, "the processor %s instead of %s", found, wanted);
    }
    if (shape->guest_features != expected->guest_features)
        add_change(changes,
                   "the guest features 0x%" G_GINT64_MODIFIER "x instead of 0x%" G_GINT64_MODIFIER
                   "x",
                   shape->guest_features, expected->guest_features);
}

static void
describe_memory(const Memory *memory, GPtrArray *changes)
{
    if (memory->image != NULL) {
        g_autofree char *name = g_strescape(memory->image, NULL);

        add_change(changes, "the image %s", name);
    }
    if (memory->alone)
        add_change(changes, "the firmware alone, kernel, initrd and command line not measured");
    if (memory->label != NULL) {
        g_autofree char *bytes = g_strescape(memory->cmdline, NULL);

        add_change(changes, "another command line (%s: \"%s\")", memory->label, bytes);
    }
}

static KhExplanation *
explain_found(const Search *self, const Memory *memory, const KhLaunchShape *shape)
{
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(g_free);
    KhExplanation *explanation = g_new0(KhExplanation, 1);
    g_autofree char *list = NULL;

    describe_memory(memory, changes);
    describe_shape(self, shape, changes);
    explanation->found = TRUE;
    explanation->n_changes = changes->len;
    explanation->n_candidates = self->n_candidates;
    g_ptr_array_add(changes, NULL);
    list = g_strjoinv(", and ", (char **)changes->pdata);
    explanation->text =
        explanation->n_changes == 0
            ? g_strdup("The observed measurement is the expected one")
            : g_strdup_printf("The observed measurement is that of the expected launch but for %s",
                              list);
    return explanation;
}

static char *
describe_varied(const Search *self)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "number of vCPUs (1 to %d)", KH_MEASURED_VCPUS_MAX);
    if (self->n_signatures > 1)
        g_string_append_printf(text, ", processor type (%u signatures)", self->n_signatures);
    g_string_append(text, ", guest features (");
    for (guint i = 0; i < self->n_features; i++)
        g_string_append_printf(text, "%s0x%" G_GINT64_MODIFIER "x", i > 0 ? ", " : "",
                               self->features[i]);
    g_string_append(text, ")");
    if (self->launch->parts->has_kernel)
        g_string_append_printf(text,
                               ", command line (%u forms: trailing newline or space, sealed or "
                               "not, default, empty), the firmware alone",
                               self->cmdlines->len);
    if (self->n_images > 1)
        g_string_append_printf(text, ", image (%u)", self->n_images);
    g_string_append(text, self->cut ? "; each alone and in some combinations"
                                    : "; each alone and in combination");
    return g_string_free(text, FALSE);
}

static KhExplanation *
explain_none(const Search *self)
{
    KhExplanation *explanation = g_new0(KhExplanation, 1);
    g_autofree char *varied = describe_varied(self);

    explanation->n_candidates = self->n_candidates;
    explanation->text = g_strdup_printf("None of %" G_GUINT64_FORMAT
                                        " candidates has the observed measurement; varied were: %s",
                                        self->n_candidates, varied);
    return explanation;
}

static KhExplanation *
run(Search *self, GError **error)
{
    for (guint i = 0; i < self->memories->len; i++) {
        const Memory *memory = &g_array_index(self->memories, Memory, i);
        g_autoptr(GError) failure = NULL;
        KhLaunchShape shape;

        if (!try_memory(self, memory, &shape, &failure)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
        if (shape.vcpus > 0)
            return explain_found(self, memory, &shape);
    }
    return explain_none(self);
}

KhExplanation *
kh_mismatch_search(const KhLaunch *launch, const guint8 observed[KH_LAUNCH_DIGEST_SIZE],
                   const KhNeighbours *neighbours, GError **error)
{
    const char *cmdline = launch->cmdline == NULL ? "" : launch->cmdline;
    g_auto(Search) search = {.launch = launch, .observed = observed};
    guint8 expected[KH_LAUNCH_DIGEST_SIZE];

    if (!kh_launch_measure(launch, expected, error))
        return NULL;
    search.digest = kh_launch_digest_new(error);
    if (search.digest == NULL)
        return NULL;
    search.cmdlines =
        kh_neighbour_cmdlines(cmdline, neighbours == NULL ? NULL : neighbours->luks_uuid);
    search.memories = g_array_new(FALSE, FALSE, sizeof(Memory));
    search.alone = g_ptr_array_new_with_free_func(g_free);
    collect_shapes(&search);
    collect_memories(&search, neighbours);
    return run(&search, error);
}
