/* SPDX-License-Identifier: MIT */
/*
 * Looks into a checkout of Katana; see katana-repo.h. All parts come from one folder: parts
 * of two builds would measure a machine that nobody starts.
 */
#include "katana-repo.h"

#include <sys/stat.h>

#include "error.h"

/* Where Katana's build scripts have put their output, the newest ones last. */
static const char *const folders[] = {"output", "tee/build", "misc/AMDSEV/output"};

void
kh_katana_build_clear(KhKatanaBuild *self)
{
    g_clear_pointer(&self->ovmf, g_free);
    g_clear_pointer(&self->kernel, g_free);
    g_clear_pointer(&self->initrd, g_free);
    g_clear_pointer(&self->others, g_free);
}

/* The file @name of @folder, NULL if there is none. */
static char *
part(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS) ? g_steal_pointer(&path) : NULL;
}

static gboolean
same_file(const char *one, const char *other)
{
    struct stat a, b;

    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Both spellings are in use; with two files there is no telling which one is booted. */
static gboolean
find_firmware(const char *folder, char **path, GError **error)
{
    g_autofree char *upper = part(folder, "OVMF.fd");
    g_autofree char *lower = part(folder, "ovmf.fd");
    g_autofree char *shown = NULL;

    if (upper != NULL && lower != NULL && !same_file(upper, lower)) {
        shown = g_filename_display_name(folder);
        return kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "%s has both OVMF.fd and ovmf.fd; give the one that is booted with --ovmf", shown);
    }
    *path = upper != NULL ? g_steal_pointer(&upper) : g_steal_pointer(&lower);
    return TRUE;
}

static void
append_word(GString *words, const char *word)
{
    g_string_append_printf(words, "%s%s", words->len > 0 ? ", " : "", word);
}

/* Fills @found with what @wanted lacks; *missing: what the folder has not got, NULL: nothing. */
static gboolean
look_into(const char *folder, const KhKatanaBuild *wanted, KhKatanaBuild *found, char **missing,
          GError **error)
{
    g_autoptr(GString) lacks = g_string_new(NULL);

    if (wanted->ovmf == NULL && !find_firmware(folder, &found->ovmf, error))
        return FALSE;
    found->kernel = wanted->kernel == NULL ? part(folder, "vmlinuz") : NULL;
    found->initrd = wanted->initrd == NULL ? part(folder, "initrd.img") : NULL;
    if (wanted->ovmf == NULL && found->ovmf == NULL)
        append_word(lacks, "OVMF.fd");
    if (wanted->kernel == NULL && found->kernel == NULL)
        append_word(lacks, "vmlinuz");
    if (wanted->initrd == NULL && found->initrd == NULL)
        append_word(lacks, "initrd.img");
    *missing = lacks->len > 0 ? g_strdup(lacks->str) : NULL;
    return TRUE;
}

static void
take(char **to, char **from)
{
    if (*to == NULL)
        *to = g_steal_pointer(from);
}

/* Takes the parts of a whole folder if none has been taken, else notes it. */
static void
take_folder(const char *name, KhKatanaBuild *build, KhKatanaBuild *found, gboolean *taken)
{
    if (*taken) {
        g_autofree char *before = g_steal_pointer(&build->others);

        build->others = before == NULL ? g_strdup(name) : g_strconcat(before, ", ", name, NULL);
        return;
    }
    *taken = TRUE;
    take(&build->ovmf, &found->ovmf);
    take(&build->kernel, &found->kernel);
    take(&build->initrd, &found->initrd);
}

gboolean
kh_katana_repo_find(const char *repo, KhKatanaBuild *build, GError **error)
{
    const KhKatanaBuild wanted = *build;
    g_autoptr(GString) lacks = g_string_new(NULL);
    g_autofree char *shown = g_filename_display_name(repo);
    gboolean taken = FALSE;

    for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *folder = g_build_filename(repo, folders[i], NULL);
        g_autofree char *missing = NULL;
        g_auto(KhKatanaBuild) found = {NULL};

        if (!look_into(folder, &wanted, &found, &missing, error))
            return FALSE;
        if (missing == NULL)
            take_folder(folders[i], build, &found, &taken);
        else
            g_string_append_printf(lacks, "%s%s/ (lacks %s)", i > 0 ? ", " : "", folders[i],
                                   missing);
    }
    if (!taken)
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                    "%s has no built boot components: %s; build them there, or give the files with "
                    "--ovmf, --kernel and --initrd",
                    shown, lacks->str);
    return taken;
}
