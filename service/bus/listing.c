/* SPDX-License-Identifier: MIT */
/* ListInstances; see listing.h. */
#include "listing.h"

#include "auth/gate.h"
#include "dbus-generated.h"
#include "error.h"
#include "names.h"
#include "options.h"
#include "refusal.h"

#define PREFIX KH_PATH_INSTANCES "/"

/* A list that is being made. */
typedef struct {
    KhTree *tree;
    GDBusMethodInvocation *invocation; /* until it is answered */
    char **properties;
    char *last; /* the path after which it goes on */
    guint left; /* how many more may come */
    GVariantBuilder list;
    gsize bytes;
} Listing;

static void
listing_free(gpointer data)
{
    Listing *listing = data;

    g_object_unref(listing->tree);
    g_strfreev(listing->properties);
    g_free(listing->last);
    g_variant_builder_clear(&listing->list);
    g_free(listing);
}

/* NULL where none is near. */
static const char *
nearest_property(const char *name)
{
    GDBusPropertyInfo **properties = kh_dbus_instance_interface_info()->properties;
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (; *properties != NULL; properties++)
        g_ptr_array_add(names, (*properties)->name);
    g_ptr_array_add(names, NULL);
    return kh_nearest_word(name, (const char *const *)names->pdata);
}

static void
refuse_property(const char *name, GError **error)
{
    const char *nearest = nearest_property(name);
    g_autofree char *shown = kh_text_sanitize(name, 64);

    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "An instance has no property \"%s\"%s%s%s", shown,
                nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "\"?" : "");
}

/* Each at most once, so that an answer is never longer than that to an empty list. */
static gboolean
check_property_name(const char *name, GHashTable *seen, GError **error)
{
    GDBusInterfaceInfo *info = kh_dbus_instance_interface_info();
    gboolean known = g_dbus_interface_info_lookup_property(info, name) != NULL;

    if (known && g_hash_table_add(seen, (gpointer)name))
        return TRUE;
    if (known)
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "The property \"%s\" is named twice; name each once", name);
    else
        refuse_property(name, error);
    return FALSE;
}

static gboolean
check_property_names(const char *const *names, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (; *names != NULL; names++)
        if (!check_property_name(*names, seen, error))
            return FALSE;
    return TRUE;
}

static gboolean
read_options(GVariant *options, guint *limit, const char **cursor, GError **error)
{
    static const KhOption known[] = {{"limit", "u"}, {"cursor", "s"}, {NULL, NULL}};

    *limit = G_MAXUINT;
    *cursor = PREFIX;
    if (!kh_options_check(options, known, error))
        return FALSE;
    g_variant_lookup(options, "limit", "u", limit);
    g_variant_lookup(options, "cursor", "&s", cursor);
    if (*limit > 0 && g_str_has_prefix(*cursor, PREFIX))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        *limit == 0 ? "The option \"limit\" is 0; give at least 1"
                                    : "The option \"cursor\" is not the object path of an "
                                      "instance; give the last one of the page before");
}

/* The named properties, and no other is looked at; all where none is named. */
static GVariant *
select_properties(GDBusInterfaceSkeleton *skeleton, char **names)
{
    g_auto(GVariantBuilder) chosen = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);

    if (names[0] == NULL)
        return g_dbus_interface_skeleton_get_properties(skeleton);
    for (; *names != NULL; names++) {
        g_autoptr(GVariant) value = kh_gate_read_property(skeleton, *names);

        g_variant_builder_add(&chosen, "{sv}", *names, value);
    }
    return g_variant_ref_sink(g_variant_builder_end(&chosen));
}

static void
add_instance(Listing *listing, GDBusObject *object)
{
    const char *path = g_dbus_object_get_object_path(object);
    g_autoptr(GDBusInterface) interface =
        g_dbus_object_get_interface(object, KH_INTERFACE_INSTANCE);
    g_autoptr(GVariant) properties =
        select_properties(G_DBUS_INTERFACE_SKELETON(interface), listing->properties);
    g_autoptr(GVariant) entry = g_variant_ref_sink(g_variant_new("{o@a{sv}}", path, properties));

    /* Kept as bytes, which are a tenth of what GLib's values need. */
    g_variant_get_data(entry);
    listing->bytes += g_variant_get_size(entry);
    g_variant_builder_add_value(&listing->list, entry);
    g_free(listing->last);
    listing->last = g_strdup(path);
    listing->left--;
}

static void
answer(Listing *listing)
{
    GDBusMethodInvocation *invocation = g_steal_pointer(&listing->invocation);

    if (listing->bytes > KH_LISTING_BYTES_MAX)
        g_dbus_method_invocation_return_error(
            invocation, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
            "The list would have more than 16 MiB; ask in pages, with the option \"limit\", or "
            "for fewer properties");
    else
        g_dbus_method_invocation_return_value(invocation,
                                              g_variant_new("(a{oa{sv}})", &listing->list));
}

static gboolean
on_turn(gpointer data)
{
    Listing *listing = data;
    gint64 end = g_get_monotonic_time() + KH_TURN_USEC;

    while (listing->left > 0 && listing->bytes <= KH_LISTING_BYTES_MAX) {
        GDBusObjectSkeleton *next = kh_tree_next(listing->tree, listing->last);

        if (next == NULL ||
            !g_str_has_prefix(g_dbus_object_get_object_path(G_DBUS_OBJECT(next)), PREFIX))
            break;
        add_instance(listing, G_DBUS_OBJECT(next));
        if (g_get_monotonic_time() > end)
            return G_SOURCE_CONTINUE;
    }
    answer(listing);
    return G_SOURCE_REMOVE;
}

void
kh_listing_answer(KhTree *tree, KhTurns *turns, GDBusMethodInvocation *invocation,
                  const char *const *properties, GVariant *options)
{
    const KhCaller caller = kh_gate_get_caller(invocation);
    GError *error = NULL;
    const char *cursor;
    Listing *listing;
    guint limit;

    if (!read_options(options, &limit, &cursor, &error) ||
        !check_property_names(properties, &error)) {
        kh_refuse_call(invocation, error);
        return;
    }
    listing = g_new0(Listing, 1);
    listing->tree = g_object_ref(tree);
    listing->invocation = invocation;
    listing->properties = g_strdupv((char **)properties);
    listing->last = g_strdup(cursor);
    listing->left = limit;
    g_variant_builder_init(&listing->list, G_VARIANT_TYPE("a{oa{sv}}"));
    if (!kh_turns_add_long(turns, &caller, on_turn, listing, listing_free, &error))
        kh_refuse_call(invocation, error);
}
