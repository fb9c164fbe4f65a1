/* SPDX-License-Identifier: MIT */
/* Decides whether a caller may; see authority.h. */
#include "authority.h"

#include <polkit/polkit.h>
#include <unistd.h>

#include "error.h"
#include "names.h"

struct _KhAuthority {
    GObject parent_instance;
    KhAuthorityKind kind;
    KhLimits *limits;
    PolkitAuthority *polkit; /* once it has answered */
};

G_DEFINE_FINAL_TYPE(KhAuthority, kh_authority, G_TYPE_OBJECT)

static void
kh_authority_finalize(GObject *object)
{
    KhAuthority *self = KH_AUTHORITY(object);

    g_clear_object(&self->polkit);
    g_clear_pointer(&self->limits, kh_limits_unref);
    G_OBJECT_CLASS(kh_authority_parent_class)->finalize(object);
}

static void
kh_authority_class_init(KhAuthorityClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_authority_finalize;
}

static void
kh_authority_init(KhAuthority *self)
{
}

KhAuthority *
kh_authority_new(KhAuthorityKind kind, KhLimits *limits)
{
    KhAuthority *self = g_object_new(KH_TYPE_AUTHORITY, NULL);

    self->kind = kind;
    self->limits = kh_limits_ref(limits);
    return self;
}

typedef struct {
    char *sender;
    char *action;
    PolkitDetails *details;
    gboolean interactive;
    guint32 uid;
    KhLimits *prompting; /* while it counts as a prompt */
} Check;

static void
check_free(gpointer data)
{
    Check *check = data;

    if (check->prompting != NULL) {
        kh_limits_leave(check->prompting, check->sender, KH_LIMIT_PROMPTS);
        kh_limits_unref(check->prompting);
    }
    g_free(check->sender);
    g_free(check->action);
    g_object_unref(check->details);
    g_free(check);
}

static void
deny(GTask *task, KhError code, const char *why)
{
    const Check *check = g_task_get_task_data(task);

    g_task_return_new_error(task, KH_ERROR, (int)code, "This needs the polkit action %s: %s",
                            check->action, why);
}

static void
on_polkit_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(PolkitAuthorizationResult) answer =
        polkit_authority_check_authorization_finish(POLKIT_AUTHORITY(source), result, &error);

    if (answer == NULL) {
        g_warning("polkit has not answered: %s", error->message);
        deny(task, KH_ERROR_NOT_AUTHORIZED, "polkit has not answered");
    } else if (polkit_authorization_result_get_is_authorized(answer)) {
        g_task_return_boolean(task, TRUE);
    } else if (polkit_authorization_result_get_dismissed(answer)) {
        deny(task, KH_ERROR_NOT_AUTHORIZED_DISMISSED, "authentication was dismissed");
    } else if (polkit_authorization_result_get_is_challenge(answer)) {
        deny(task, KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN, "authenticate first");
    } else {
        deny(task, KH_ERROR_NOT_AUTHORIZED, "you do not have it; ask an administrator");
    }
}

static void
ask_polkit(KhAuthority *self, GTask *task)
{
    Check *check = g_task_get_task_data(task);
    g_autoptr(PolkitSubject) subject = polkit_system_bus_name_new(check->sender);

    polkit_authority_check_authorization(
        self->polkit, subject, check->action, check->details,
        check->interactive ? POLKIT_CHECK_AUTHORIZATION_FLAGS_ALLOW_USER_INTERACTION
                           : POLKIT_CHECK_AUTHORIZATION_FLAGS_NONE,
        NULL, on_polkit_answered, task);
}

static void
on_polkit_found(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhAuthority *self = g_task_get_source_object(task);
    g_autoptr(GError) error = NULL;
    g_autoptr(PolkitAuthority) polkit = polkit_authority_get_finish(result, &error);

    if (polkit == NULL) {
        g_warning("polkit cannot be reached: %s", error->message);
        deny(task, KH_ERROR_NOT_AUTHORIZED, "polkit cannot be reached");
        return;
    }
    g_set_object(&self->polkit, polkit);
    ask_polkit(self, g_steal_pointer(&task));
}

/* Takes @task. */
static void
prompt(KhAuthority *self, GTask *task)
{
    Check *check = g_task_get_task_data(task);
    GError *error = NULL;

    if (!kh_limits_enter(self->limits, check->sender, KH_LIMIT_PROMPTS, &error)) {
        g_task_return_error(task, error);
        g_object_unref(task);
        return;
    }
    check->prompting = kh_limits_ref(self->limits);
    if (self->polkit != NULL)
        ask_polkit(self, task);
    else
        polkit_authority_get_async(NULL, on_polkit_found, task);
}

static void
on_uid_found(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhAuthority *self = g_task_get_source_object(task);
    Check *check = g_task_get_task_data(task);
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);

    if (reply == NULL) {
        deny(task, KH_ERROR_NOT_AUTHORIZED, "the bus does not know you any more");
        return;
    }
    g_variant_get(reply, "(u)", &check->uid);
    if (check->uid == 0 || (self->kind == KH_AUTHORITY_OWNER && check->uid == geteuid()))
        g_task_return_boolean(task, TRUE);
    else if (self->kind == KH_AUTHORITY_OWNER)
        deny(task, KH_ERROR_NOT_AUTHORIZED, "only the service's own user may");
    else
        prompt(self, g_steal_pointer(&task));
}

static PolkitDetails *
details_of(GHashTable *details)
{
    PolkitDetails *list = polkit_details_new();
    GHashTableIter iter;
    gpointer name, text;

    if (details == NULL)
        return list;
    g_hash_table_iter_init(&iter, details);
    while (g_hash_table_iter_next(&iter, &name, &text))
        polkit_details_insert(list, name, text);
    return list;
}

void
kh_authority_check_async(KhAuthority *self, GDBusConnection *connection, const char *sender,
                         const char *action, GHashTable *details, gboolean interactive,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    Check *check = g_new0(Check, 1);

    check->sender = g_strdup(sender);
    check->action = g_strconcat(KH_ACTION_PREFIX, action, NULL);
    check->details = details_of(details);
    check->interactive = interactive;
    g_task_set_source_tag(task, kh_authority_check_async);
    g_task_set_task_data(task, check, check_free);
    g_dbus_connection_call(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "GetConnectionUnixUser",
                           g_variant_new("(s)", sender), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE, -1, NULL, on_uid_found, g_object_ref(task));
}

gboolean
kh_authority_check_finish(KhAuthority *self, GAsyncResult *result, guint32 *uid, GError **error)
{
    *uid = ((Check *)g_task_get_task_data(G_TASK(result)))->uid;
    return g_task_propagate_boolean(G_TASK(result), error);
}
