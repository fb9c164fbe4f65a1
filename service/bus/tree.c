/* SPDX-License-Identifier: MIT */
/*
 * The tree of objects; see tree.h. An answer is of one moment: between the pieces of its work
 * only descriptions are made, and when none is missing all are put together at once.
 */
#include "tree.h"

#include <malloc.h>
#include <string.h>

#include "auth/intake.h"
#include "names.h"

/* Descriptions that nobody has asked for that long are dropped. */
#define KEEP_SECONDS 10
/* A tree that changes faster than it is described is answered after that many pieces. */
#define PIECES_MAX 1000
#define DOCTYPE                                                                                    \
    "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n"           \
    "                      \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n"

/* D-Bus Specification, "Standard Interfaces". */
static const char standard_xml[] =
    "<node><interface name='org.freedesktop.DBus.Properties'>"
    "<method name='Get'><arg type='s' name='interface_name' direction='in'/>"
    "<arg type='s' name='property_name' direction='in'/>"
    "<arg type='v' name='value' direction='out'/></method>"
    "<method name='GetAll'><arg type='s' name='interface_name' direction='in'/>"
    "<arg type='a{sv}' name='properties' direction='out'/></method>"
    "<method name='Set'><arg type='s' name='interface_name' direction='in'/>"
    "<arg type='s' name='property_name' direction='in'/>"
    "<arg type='v' name='value' direction='in'/></method>"
    "<signal name='PropertiesChanged'><arg type='s' name='interface_name'/>"
    "<arg type='a{sv}' name='changed_properties'/>"
    "<arg type='as' name='invalidated_properties'/></signal></interface>"
    "<interface name='org.freedesktop.DBus.Introspectable'>"
    "<method name='Introspect'><arg type='s' name='xml_data' direction='out'/></method>"
    "</interface><interface name='org.freedesktop.DBus.Peer'>"
    "<method name='Ping'/><method name='GetMachineId'>"
    "<arg type='s' name='machine_uuid' direction='out'/></method></interface>"
    "<interface name='org.freedesktop.DBus.ObjectManager'>"
    "<method name='GetManagedObjects'>"
    "<arg type='a{oa{sa{sv}}}' name='objects' direction='out'/></method>"
    "<signal name='InterfacesAdded'><arg type='o' name='object'/>"
    "<arg type='a{sa{sv}}' name='interfaces'/></signal>"
    "<signal name='InterfacesRemoved'><arg type='o' name='object'/>"
    "<arg type='as' name='interfaces'/></signal></interface></node>";
#define STANDARD_INTERFACES 3 /* of every object; the last is the root's */

typedef struct {
    KhTree *tree; /* not owned */
    char *path;
    GDBusObjectSkeleton *object;
    GVariant *described; /* {oa{sa{sv}}}; NULL while it is not known */
} Entry;

struct _KhTree {
    GObject parent_instance;
    KhTurns *turns;
    GTree *entries;      /* path -> Entry */
    GHashTable *unknown; /* set of Entry that are not described */
    GDBusNodeInfo *standard;
    guint forget;
};

G_DEFINE_FINAL_TYPE(KhTree, kh_tree, G_TYPE_OBJECT)

static void
drop_description(Entry *entry)
{
    g_clear_pointer(&entry->described, g_variant_unref);
    g_hash_table_add(entry->tree->unknown, entry);
}

static void
on_notify(GObject *skeleton, GParamSpec *property, gpointer data)
{
    drop_description(data);
}

static void
entry_free(gpointer data)
{
    Entry *entry = data;
    GList *interfaces = g_dbus_object_get_interfaces(G_DBUS_OBJECT(entry->object));

    for (GList *i = interfaces; i != NULL; i = i->next)
        g_signal_handlers_disconnect_by_data(i->data, entry);
    g_list_free_full(interfaces, g_object_unref);
    g_clear_pointer(&entry->described, g_variant_unref);
    g_object_unref(entry->object);
    g_free(entry->path);
    g_free(entry);
}

static void
kh_tree_finalize(GObject *object)
{
    KhTree *self = KH_TREE(object);

    g_clear_handle_id(&self->forget, g_source_remove);
    g_hash_table_unref(self->unknown);
    g_tree_unref(self->entries);
    g_dbus_node_info_unref(self->standard);
    g_clear_object(&self->turns);
    G_OBJECT_CLASS(kh_tree_parent_class)->finalize(object);
}

static void
kh_tree_class_init(KhTreeClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_tree_finalize;
}

static int
compare_paths(gconstpointer a, gconstpointer b, gpointer data)
{
    return strcmp(a, b);
}

static void
kh_tree_init(KhTree *self)
{
    self->entries = g_tree_new_full(compare_paths, NULL, NULL, entry_free);
    self->unknown = g_hash_table_new(NULL, NULL);
    self->standard = g_dbus_node_info_new_for_xml(standard_xml, NULL);
}

KhTree *
kh_tree_new(KhTurns *turns)
{
    KhTree *self = g_object_new(KH_TYPE_TREE, NULL);

    self->turns = g_object_ref(turns);
    return self;
}

void
kh_tree_add(KhTree *self, GDBusObjectSkeleton *object)
{
    GList *interfaces = g_dbus_object_get_interfaces(G_DBUS_OBJECT(object));
    Entry *entry = g_new0(Entry, 1);

    entry->tree = self;
    entry->path = g_strdup(g_dbus_object_get_object_path(G_DBUS_OBJECT(object)));
    entry->object = g_object_ref(object);
    for (GList *i = interfaces; i != NULL; i = i->next)
        g_signal_connect(i->data, "notify", G_CALLBACK(on_notify), entry);
    g_list_free_full(interfaces, g_object_unref);
    g_tree_insert(self->entries, entry->path, entry);
    g_hash_table_add(self->unknown, entry);
}

void
kh_tree_remove(KhTree *self, const char *path)
{
    Entry *entry = g_tree_lookup(self->entries, path);

    if (entry == NULL)
        return;
    g_hash_table_remove(self->unknown, entry);
    g_tree_remove(self->entries, path);
}

void
kh_tree_touch(KhTree *self, const char *path)
{
    Entry *entry = g_tree_lookup(self->entries, path);

    if (entry != NULL)
        drop_description(entry);
}

GDBusObjectSkeleton *
kh_tree_next(KhTree *self, const char *path)
{
    GTreeNode *node = g_tree_upper_bound(self->entries, path);

    return node == NULL ? NULL : ((Entry *)g_tree_node_value(node))->object;
}

/* --- GetManagedObjects ---------------------------------------------------------------- */

/* A call that is being answered. */
typedef struct {
    KhTree *tree;
    GDBusConnection *connection;
    GDBusMessage *call;
    guint32 uid;
    guint pieces;
} Answer;

static void
answer_free(gpointer data)
{
    Answer *answer = data;

    g_object_unref(answer->tree);
    g_object_unref(answer->connection);
    g_object_unref(answer->call);
    g_free(answer);
}

static void
send(Answer *answer, GVariant *body)
{
    g_autoptr(GDBusMessage) reply = g_dbus_message_new_method_reply(answer->call);

    g_dbus_message_set_body(reply, body);
    g_dbus_connection_send_message(answer->connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL,
                                   NULL);
}

/* Kept as bytes, which are a tenth of what GLib's values need. */
static void
describe(Entry *entry)
{
    GList *interfaces = g_dbus_object_get_interfaces(G_DBUS_OBJECT(entry->object));
    g_auto(GVariantBuilder) all = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{sa{sv}}"));

    for (GList *i = interfaces; i != NULL; i = i->next) {
        g_autoptr(GVariant) properties = g_dbus_interface_skeleton_get_properties(i->data);

        g_variant_builder_add(&all, "{s@a{sv}}", g_dbus_interface_skeleton_get_info(i->data)->name,
                              properties);
    }
    g_list_free_full(interfaces, g_object_unref);
    entry->described = g_variant_ref_sink(
        g_variant_new("{o@a{sa{sv}}}", entry->path, g_variant_builder_end(&all)));
    g_variant_get_data(entry->described);
}

/* FALSE: the time for this piece has passed. */
static gboolean
describe_unknown(KhTree *self)
{
    gint64 end = g_get_monotonic_time() + KH_TURN_USEC;
    GHashTableIter iter;
    gpointer entry;

    g_hash_table_iter_init(&iter, self->unknown);
    while (g_hash_table_iter_next(&iter, &entry, NULL)) {
        if (g_get_monotonic_time() > end)
            return FALSE;
        describe(entry);
        g_hash_table_iter_remove(&iter);
    }
    return TRUE;
}

static gboolean
forget(gpointer key, gpointer value, gpointer data)
{
    drop_description(value);
    return FALSE;
}

static gboolean
on_forget(gpointer data)
{
    KhTree *self = data;

    self->forget = 0;
    g_tree_foreach(self->entries, forget, NULL);
    malloc_trim(0);
    return G_SOURCE_REMOVE;
}

static gboolean
append(gpointer key, gpointer value, gpointer data)
{
    Entry *entry = value;

    if (entry->described == NULL)
        describe(entry);
    g_variant_builder_add_value(data, entry->described);
    return FALSE;
}

static gboolean
on_managed_objects(gpointer data)
{
    Answer *answer = data;
    KhTree *self = answer->tree;
    g_auto(GVariantBuilder) all = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{oa{sa{sv}}}"));

    if (!describe_unknown(self) && ++answer->pieces < PIECES_MAX)
        return G_SOURCE_CONTINUE;
    g_tree_foreach(self->entries, append, &all);
    send(answer, g_variant_new("(a{oa{sa{sv}}})", &all));
    g_clear_handle_id(&self->forget, g_source_remove);
    self->forget = g_timeout_add_seconds(KEEP_SECONDS, on_forget, self);
    return G_SOURCE_REMOVE;
}

/* --- Introspect ----------------------------------------------------------------------- */

/* The names of the nodes right below @path, one node of each. Transfer full. */
static GPtrArray *
find_children(KhTree *self, const char *path)
{
    GPtrArray *nodes =
        g_ptr_array_new_null_terminated(8, (GDestroyNotify)g_dbus_node_info_unref, TRUE);
    g_autofree char *prefix = g_strconcat(g_str_equal(path, "/") ? "" : path, "/", NULL);
    g_autofree char *from = g_strdup(prefix);
    GTreeNode *found;

    while ((found = g_tree_lower_bound(self->entries, from)) != NULL &&
           g_str_has_prefix(g_tree_node_key(found), prefix)) {
        const char *name = (const char *)g_tree_node_key(found) + strlen(prefix);
        GDBusNodeInfo *node = g_new0(GDBusNodeInfo, 1);

        node->ref_count = 1;
        node->path = g_strndup(name, strcspn(name, "/"));
        g_ptr_array_add(nodes, node);
        /* '0' comes after '/', and before all else that is in a path. */
        g_free(from);
        from = g_strconcat(prefix, node->path, "0", NULL);
    }
    return nodes;
}

/* Those of @path; none where there is no object. Not owned, but the array. */
static GPtrArray *
find_interfaces(KhTree *self, const char *path)
{
    Entry *entry = g_tree_lookup(self->entries, path);
    gboolean root = g_str_equal(path, KH_PATH_ROOT);
    GPtrArray *infos = g_ptr_array_new_null_terminated(8, NULL, TRUE);

    for (guint i = 0; (entry != NULL || root) && i < STANDARD_INTERFACES + (root ? 1 : 0); i++)
        g_ptr_array_add(infos, self->standard->interfaces[i]);
    if (entry != NULL) {
        GList *interfaces = g_dbus_object_get_interfaces(G_DBUS_OBJECT(entry->object));

        for (GList *i = interfaces; i != NULL; i = i->next)
            g_ptr_array_add(infos, g_dbus_interface_skeleton_get_info(i->data));
        g_list_free_full(interfaces, g_object_unref);
    }
    return infos;
}

static gboolean
on_introspect(gpointer data)
{
    Answer *answer = data;
    const char *path = g_dbus_message_get_path(answer->call);
    g_autoptr(GPtrArray) children = find_children(answer->tree, path);
    g_autoptr(GPtrArray) interfaces = find_interfaces(answer->tree, path);
    g_autoptr(GString) xml = g_string_new(DOCTYPE);
    GDBusNodeInfo node = {.interfaces = (GDBusInterfaceInfo **)interfaces->pdata,
                          .nodes = (GDBusNodeInfo **)children->pdata};

    g_dbus_node_info_generate_xml(&node, 0, xml);
    send(answer, g_variant_new("(s)", xml->str));
    return G_SOURCE_REMOVE;
}

/* --- both ----------------------------------------------------------------------------- */

static void
refuse(GDBusConnection *connection, GDBusMessage *call, const GError *error)
{
    g_autofree char *name = g_dbus_error_encode_gerror(error);
    g_autoptr(GDBusMessage) reply =
        g_dbus_message_new_method_error_literal(call, name, error->message);

    g_dbus_connection_send_message(connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

static KhCaller
caller_of(const Answer *answer)
{
    return (KhCaller){answer->connection, g_dbus_message_get_sender(answer->call), answer->uid};
}

/* The call's turn has come; what is short is answered in it. */
static void
on_turn(gpointer data)
{
    Answer *answer = data;
    KhTree *self = answer->tree;
    g_autoptr(GDBusConnection) connection = g_object_ref(answer->connection);
    g_autoptr(GDBusMessage) call = g_object_ref(answer->call);
    const KhCaller caller = caller_of(answer);
    gboolean introspects = g_str_equal(g_dbus_message_get_member(call), "Introspect");
    g_autoptr(GError) error = NULL;

    if (introspects && g_tree_lookup(self->entries, g_dbus_message_get_path(call)) != NULL) {
        on_introspect(answer);
        answer_free(answer);
    } else if (!kh_turns_add_long(self->turns, &caller,
                                  introspects ? on_introspect : on_managed_objects, answer,
                                  answer_free, &error)) {
        refuse(connection, call, error);
    }
}

static void
on_identified(guint32 uid, gpointer data)
{
    Answer *answer = data;
    KhCaller caller;

    answer->uid = uid;
    caller = caller_of(answer);
    kh_turns_add(answer->tree->turns, &caller, on_turn, answer, answer_free);
}

static void
on_taken(GDBusConnection *connection, GDBusMessage *message, gpointer data)
{
    Answer *answer = g_new0(Answer, 1);

    answer->tree = g_object_ref(data);
    answer->connection = g_object_ref(connection);
    answer->call = g_object_ref(message);
    kh_intake_identify(kh_intake_of(connection), g_dbus_message_get_sender(message),
                       g_dbus_message_get_serial(message), on_identified, answer);
}

void
kh_tree_serve(KhTree *self, GDBusConnection *connection)
{
    kh_intake_set_taken(kh_intake_of(connection), on_taken, self);
}

void
kh_tree_close(KhTree *self, GDBusConnection *connection)
{
    kh_intake_set_taken(kh_intake_of(connection), NULL, NULL);
    g_hash_table_remove_all(self->unknown);
    g_tree_remove_all(self->entries);
}
