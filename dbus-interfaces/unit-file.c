/* SPDX-License-Identifier: MIT */
/* Whether the service starts with the host; see unit-file.h. */
#include "unit-file.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define ANSWER_MS 2000
/* Where logind keeps who lingers, an empty file per user. */
#define LINGER_FOLDER "/var/lib/systemd/linger"

/* "-runtime" is until the next boot; "static" and the like say nothing of who starts it. */
KhUnitFile
kh_unit_file_parse(const char *state)
{
    static const char *const disabled[] = {"disabled", "enabled-runtime", "linked",
                                           "linked-runtime", NULL};

    if (g_str_equal(state, "enabled"))
        return KH_UNIT_FILE_ENABLED;
    if (g_str_equal(state, "masked") || g_str_equal(state, "masked-runtime"))
        return KH_UNIT_FILE_MASKED;
    return g_strv_contains(disabled, state) ? KH_UNIT_FILE_DISABLED : KH_UNIT_FILE_UNKNOWN;
}

/* systemd itself says that there is no such file. */
static gboolean
is_absent(const GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    return g_strcmp0(name, "org.freedesktop.DBus.Error.FileNotFound") == 0 ||
           g_strcmp0(name, SYSTEMD ".NoSuchUnit") == 0;
}

static void
on_answer(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
    KhUnitFile state = KH_UNIT_FILE_UNKNOWN;
    const char *word;

    if (answer == NULL) {
        state = is_absent(error) ? KH_UNIT_FILE_ABSENT : KH_UNIT_FILE_UNKNOWN;
    } else {
        g_variant_get(answer, "(&s)", &word);
        state = kh_unit_file_parse(word);
    }
    g_task_return_int(task, state);
}

void
kh_unit_file_ask_async(GDBusConnection *bus, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_unit_file_ask_async);
    if (bus != NULL) {
        g_dbus_connection_call(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager",
                               "GetUnitFileState", g_variant_new("(s)", KH_UNIT_NAME),
                               G_VARIANT_TYPE("(s)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, ANSWER_MS,
                               NULL, on_answer, task);
        return;
    }
    g_task_return_int(task, KH_UNIT_FILE_UNKNOWN);
    g_object_unref(task);
}

KhUnitFile
kh_unit_file_ask_finish(GAsyncResult *result)
{
    return (KhUnitFile)g_task_propagate_int(G_TASK(result), NULL);
}

gboolean
kh_unit_file_lingers(void)
{
    g_autofree char *path = g_build_filename(LINGER_FOLDER, g_get_user_name(), NULL);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static const char *
describe(KhUnitFile state)
{
    switch (state) {
    case KH_UNIT_FILE_DISABLED:
        return "is not enabled";
    case KH_UNIT_FILE_MASKED:
        return "is masked";
    case KH_UNIT_FILE_ABSENT:
        return "is not installed";
    default:
        return NULL;
    }
}

gboolean
kh_unit_file_judge(KhUnitFile state, gboolean session, gboolean lingers, char **found,
                   char **remedy)
{
    const char *fault = describe(state), *user = session ? " --user" : "";

    *found = *remedy = NULL;
    if (fault != NULL) {
        *found = g_strdup_printf(KH_UNIT_NAME " %s", fault);
        *remedy = state == KH_UNIT_FILE_ABSENT
                      ? g_strdup("install the service (meson install -C build)")
                      : g_strdup_printf("systemctl%s %s " KH_UNIT_NAME, user,
                                        state == KH_UNIT_FILE_MASKED ? "unmask" : "enable");
        return FALSE;
    }
    if (state != KH_UNIT_FILE_ENABLED || !session || lingers)
        return TRUE;
    *found = g_strdup_printf("the systemd of %s starts with the first login, not with the host",
                             g_get_user_name());
    *remedy = g_strdup_printf("loginctl enable-linger %s", g_get_user_name());
    return FALSE;
}
