/* SPDX-License-Identifier: MIT */
/* What a message is by itself; see message-checks.h. */
#include "message-checks.h"

#include "error.h"
#include "methods.h"
#include "names.h"
#include "values.h"

/* The marshalled form of what we send is never four times as long as GLib's own. */
#define MARSHALLED_FACTOR 4

/* --- a call on the wire --------------------------------------------------------------- */

gsize
kh_call_length(const KhWire *message)
{
    return (gsize)message->fields + message->body;
}

gboolean
kh_call_is_faulty(const KhWire *call)
{
    const KhMethod *method;

    if (kh_call_length(call) > KH_CALL_BYTES_MAX)
        return TRUE;
    if (call->descriptors == 0)
        return FALSE;
    method = kh_method_find(call->interface, call->member);
    return method == NULL || !method->takes_descriptors;
}

gboolean
kh_call_is_silent(const KhWire *call)
{
    return (call->flags & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0;
}

gboolean
kh_call_is_in_vain(const KhWire *call)
{
    const KhMethod *method;

    if (!kh_call_is_silent(call))
        return FALSE;
    method = kh_method_find(call->interface, call->member);
    return method == NULL || g_str_equal(method->action, KH_ACTION_FREE);
}

const char *
kh_call_refusal(KhAdmission refusal, const KhWire *call)
{
    if (refusal == KH_REFUSED_CLIENT)
        return "You already have as many calls in progress as one client may have; wait for one to "
               "end";
    if (refusal == KH_REFUSED_USER)
        return "Over all your connections you already have as many calls in progress as one user "
               "may have; wait for one to end";
    if (refusal == KH_REFUSED_BYTES)
        return "Your calls in progress already carry as many bytes as those of one user may; wait "
               "for one to end";
    if (call->descriptors > 0)
        return "The call carries file descriptors, but this method takes none; send it without "
               "them";
    return KH_CALL_TOO_MUCH;
}

/* --- a message of GDBus --------------------------------------------------------------- */

gsize
kh_message_size(GDBusMessage *message)
{
    g_autofree guchar *fields = g_dbus_message_get_header_fields(message);
    GVariant *body = g_dbus_message_get_body(message);
    gsize bytes;

    if (body != NULL && kh_values_count(body, KH_CALL_VALUES_MAX + 1) > KH_CALL_VALUES_MAX)
        return G_MAXSIZE;
    bytes = body == NULL ? 0 : g_variant_get_size(body);
    for (const guchar *field = fields; *field != G_DBUS_MESSAGE_HEADER_FIELD_INVALID; field++)
        bytes +=
            g_variant_get_size(g_dbus_message_get_header(message, (GDBusMessageHeaderField)*field));
    return bytes;
}

gboolean
kh_message_is_silent(GDBusMessage *message)
{
    return (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED) != 0;
}

gboolean
kh_message_is_taken(GDBusMessage *message)
{
    const char *interface = g_dbus_message_get_interface(message);
    const char *member = g_dbus_message_get_member(message);

    if (g_dbus_message_get_body(message) != NULL)
        return FALSE;
    if (g_strcmp0(interface, KH_DBUS ".Introspectable") == 0)
        return g_str_equal(member, "Introspect");
    return g_strcmp0(interface, KH_DBUS ".ObjectManager") == 0 &&
           g_str_equal(member, "GetManagedObjects") &&
           g_str_equal(g_dbus_message_get_path(message), KH_PATH_ROOT);
}

void
kh_message_pack(GDBusMessage *message)
{
    GVariant *body = g_dbus_message_get_body(message);

    for (gsize i = 0; body != NULL && i < g_variant_n_children(body); i++) {
        g_autoptr(GVariant) value = g_variant_get_child_value(body, i);

        g_variant_get_data(value);
    }
    if (body != NULL)
        g_variant_get_data(body);
}

gboolean
kh_message_is_answer(GDBusMessage *message)
{
    GDBusMessageType type = g_dbus_message_get_message_type(message);

    return type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN || type == G_DBUS_MESSAGE_TYPE_ERROR;
}

gboolean
kh_message_fits(GDBusMessage *message, gsize bytes)
{
    g_autofree guchar *blob = NULL;
    gsize length = 0;

    if (bytes < KH_MESSAGE_BYTES_MAX / MARSHALLED_FACTOR)
        return TRUE;
    blob = g_dbus_message_to_blob(message, &length, G_DBUS_CAPABILITY_FLAGS_UNIX_FD_PASSING, NULL);
    return blob != NULL && length <= KH_MESSAGE_BYTES_MAX;
}

GDBusMessage *
kh_message_refusal(const char *sender, guint32 serial, const char *why)
{
    GDBusMessage *answer = g_dbus_message_new();
    g_autofree char *name =
        g_strconcat(KH_ERROR_PREFIX_DBUS, kh_error_name(KH_ERROR_LIMIT_EXCEEDED), NULL);

    g_dbus_message_set_message_type(answer, G_DBUS_MESSAGE_TYPE_ERROR);
    g_dbus_message_set_flags(answer, G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    g_dbus_message_set_reply_serial(answer, serial);
    g_dbus_message_set_destination(answer, sender);
    g_dbus_message_set_error_name(answer, name);
    g_dbus_message_set_body(answer, g_variant_new("(s)", why));
    return answer;
}
