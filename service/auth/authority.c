/* SPDX-License-Identifier: MIT */
/*
 * Decides whether a caller may; see authority.h. polkit is asked over the connection that the
 * call has come by: one of its own (polkit's library takes GLib's shared one, and keeps it)
 * would have to be mended as well when the bus is restarted.
 */
#include "authority.h"

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "names.h"

/* What polkit/50-org.katana.Hypervisor.rules gives to the group; a test compares them. */
static const char *const group_actions[] = {"create", "operate",   "configure", "delete",
                                            "attest", "read-logs", NULL};

struct _KhAuthority {
    GObject parent_instance;
    KhAuthorityKind kind;
    KhLimits *limits;
    gboolean unheard; /* polkit has not answered the last question, and that was said */
};

G_DEFINE_FINAL_TYPE(KhAuthority, kh_authority, G_TYPE_OBJECT)

static void
kh_authority_finalize(GObject *object)
{
    KhAuthority *self = KH_AUTHORITY(object);

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
    GVariant *details; /* a{ss} */
    gboolean interactive;
    guint32 uid;
    KhLimits *prompting; /* while it counts as a prompt */
    char *user;          /* the same, of this user */
} Check;

static void
check_free(gpointer data)
{
    Check *check = data;

    if (check->user != NULL)
        kh_limits_leave(check->prompting, check->user, KH_LIMIT_USER_PROMPTS);
    if (check->prompting != NULL) {
        kh_limits_leave(check->prompting, check->sender, KH_LIMIT_PROMPTS);
        kh_limits_unref(check->prompting);
    }
    g_free(check->user);
    g_free(check->sender);
    g_free(check->action);
    g_variant_unref(check->details);
    g_free(check);
}

static void
deny(GTask *task, KhError code, const char *why)
{
    const Check *check = g_task_get_task_data(task);

    g_task_return_new_error(task, KH_ERROR, (int)code, "This needs the right %s%s", check->action,
                            why);
}

/* Who has the right by the rules that come with the service, and how to get it. */
static void
deny_right(GTask *task, gboolean can_authenticate)
{
    const Check *check = g_task_get_task_data(task);
    gboolean of_group = g_strv_contains(group_actions, check->action + strlen(KH_ACTION_PREFIX));
    g_autofree char *why = g_strconcat(
        of_group ? ", which the rules as installed give to the group \"katana\": ask an "
                   "administrator to add you to it"
                 : ", which the rules as installed leave to administrators: ",
        of_group           ? (can_authenticate ? ", or authenticate as one" : "")
        : can_authenticate ? "authenticate as one"
                           : "ask one",
        NULL);

    deny(task, can_authenticate ? KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN : KH_ERROR_NOT_AUTHORIZED,
         why);
}

static gboolean
was_dismissed(GVariant *details)
{
    g_autoptr(GVariant) found = g_variant_lookup_value(details, "polkit.dismissed", NULL);

    return found != NULL;
}

/* The caller, so polkit says, which is no fault of polkit's. */
static gboolean
is_gone(const GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return g_strcmp0(name, "org.freedesktop.DBus.Error.NameHasNoOwner") == 0;
}

/* What is to be told of polkit's own failure, by what the bus or polkit has said. */
static const char *
explain_failure(const GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    if (name == NULL)
        return ": the bus was lost while polkit was asked; try again";
    if (strstr(error->message, "is not registered") != NULL)
        return ", which polkit does not know: have an administrator install "
               "org.katana.Hypervisor.policy";
    if (g_str_equal(name, "org.freedesktop.DBus.Error.NoReply"))
        return ": polkit ended before it had answered; try again";
    if (g_str_equal(name, "org.freedesktop.DBus.Error.ServiceUnknown") ||
        g_str_has_prefix(name, "org.freedesktop.DBus.Error.Spawn.") ||
        g_str_has_prefix(name, "org.freedesktop.systemd1."))
        return ": polkit does not run and cannot be started; have an administrator install it, or "
               "look at \"systemctl status polkit\"";
    return ": polkit has failed to decide; the service's journal says why";
}

/* Once, however many ask meanwhile, and once when it is heard again. */
static void
note_polkit(KhAuthority *self, const GError *error)
{
    if (error != NULL && !self->unheard)
        g_warning("polkit cannot be asked, so that only root may do anything: %s", error->message);
    else if (error == NULL && self->unheard)
        g_message("polkit answers again");
    self->unheard = error != NULL;
}

static void
on_polkit_answered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    g_autoptr(GVariant) details = NULL;
    gboolean authorized, challenge;

    if (reply == NULL && is_gone(error)) {
        deny(task, KH_ERROR_NOT_AUTHORIZED, ": you have left the bus");
        return;
    }
    note_polkit(g_task_get_source_object(task), error);
    if (reply == NULL) {
        deny(task, KH_ERROR_NOT_AUTHORIZED, explain_failure(error));
        return;
    }
    g_variant_get(reply, "((bb@a{ss}))", &authorized, &challenge, &details);
    if (authorized)
        g_task_return_boolean(task, TRUE);
    else if (was_dismissed(details))
        deny(task, KH_ERROR_NOT_AUTHORIZED_DISMISSED, ": authentication was cancelled");
    else
        deny_right(task, challenge);
}

/* The question of polkit's D-Bus interface; a person may take his time to answer it. */
static void
ask_polkit(GDBusConnection *connection, GTask *task)
{
    const Check *check = g_task_get_task_data(task);
    g_auto(GVariantDict) subject = G_VARIANT_DICT_INIT(NULL);

    g_variant_dict_insert(&subject, "name", "s", check->sender);
    g_dbus_connection_call(
        connection, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
        "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization",
        g_variant_new("((s@a{sv})s@a{ss}us)", "system-bus-name", g_variant_dict_end(&subject),
                      check->action, check->details, check->interactive ? 1 : 0, ""),
        G_VARIANT_TYPE("((bba{ss}))"), G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL, on_polkit_answered,
        task);
}

/* Of its connection, and of its user, who has as many of them as the bus lets him. */
static gboolean
count_prompt(KhLimits *limits, Check *check, GError **error)
{
    g_autofree char *user = g_strdup_printf("uid %u", check->uid);

    if (!kh_limits_enter(limits, check->sender, KH_LIMIT_PROMPTS, error))
        return FALSE;
    check->prompting = kh_limits_ref(limits);
    if (!kh_limits_enter(limits, user, KH_LIMIT_USER_PROMPTS, error))
        return FALSE;
    check->user = g_steal_pointer(&user);
    return TRUE;
}

/* Takes @task. */
static void
prompt(KhAuthority *self, GDBusConnection *connection, GTask *task)
{
    GError *error = NULL;

    if (count_prompt(self->limits, g_task_get_task_data(task), &error)) {
        ask_polkit(connection, task);
        return;
    }
    g_task_return_error(task, error);
    g_object_unref(task);
}

/* Takes @task. */
static void
decide(KhAuthority *self, GDBusConnection *connection, GTask *task)
{
    g_autoptr(GTask) owned = task;
    const Check *check = g_task_get_task_data(task);

    if (check->uid == 0 || (self->kind == KH_AUTHORITY_OWNER && check->uid == geteuid()))
        g_task_return_boolean(task, TRUE);
    else if (self->kind == KH_AUTHORITY_OWNER)
        deny(task, KH_ERROR_NOT_AUTHORIZED, ": only the user that this service runs as has it");
    else
        prompt(self, connection, g_steal_pointer(&owned));
}

/* Transfer full. */
static GVariant *
details_of(GHashTable *details)
{
    g_auto(GVariantBuilder) list = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a{ss}"));
    GHashTableIter iter;
    gpointer name, text;

    if (details != NULL) {
        g_hash_table_iter_init(&iter, details);
        while (g_hash_table_iter_next(&iter, &name, &text))
            g_variant_builder_add(&list, "{ss}", name, text);
    }
    return g_variant_ref_sink(g_variant_builder_end(&list));
}

void
kh_authority_check_async(KhAuthority *self, GDBusConnection *connection, const char *sender,
                         guint32 uid, const char *action, GHashTable *details, gboolean interactive,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    Check *check = g_new0(Check, 1);

    check->sender = g_strdup(sender);
    check->uid = uid;
    check->action = g_strconcat(KH_ACTION_PREFIX, action, NULL);
    check->details = details_of(details);
    check->interactive = interactive;
    g_task_set_source_tag(task, kh_authority_check_async);
    g_task_set_task_data(task, check, check_free);
    decide(self, connection, task);
}

gboolean
kh_authority_check_finish(KhAuthority *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}
