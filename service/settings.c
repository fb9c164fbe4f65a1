/* SPDX-License-Identifier: MIT */
/* The service's settings; see settings.h. */
#include "settings.h"

#include <string.h>

#include "build-config.h"
#include "error.h"
#include "folders.h"
#include "names.h"
#include "options.h"
#include "sizes.h"

#define GROUP "hypervisor"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define MIB (G_GUINT64_CONSTANT(1) << 20)

typedef gboolean (*SetFunction)(KhSettings *settings, const char *value, GError **error);

static gboolean
set_path(char **field, const char *key, const char *value, GError **error)
{
    if (!g_path_is_absolute(value))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "%s is \"%s\"; it must be an absolute path", key, value);
    g_free(*field);
    *field = g_strdup(value);
    return TRUE;
}

static gboolean
set_state_dir(KhSettings *settings, const char *value, GError **error)
{
    return set_path(&settings->state_dir, "state-dir", value, error);
}

static gboolean
set_runtime_dir(KhSettings *settings, const char *value, GError **error)
{
    return set_path(&settings->runtime_dir, "runtime-dir", value, error);
}

static gboolean
set_boot_components(KhSettings *settings, const char *value, GError **error)
{
    return set_path(&settings->boot_components, "boot-components", value, error);
}

/*
 * A name is looked up in PATH; one that is not found stays, and is told of at start. The bus
 * names it, and systemd is told it there: it must be UTF-8.
 */
static gboolean
set_qemu(KhSettings *settings, const char *value, GError **error)
{
    char *found = g_find_program_in_path(value);

    if (found != NULL && !g_utf8_validate(found, -1, NULL))
        g_clear_pointer(&found, g_free);
    g_free(settings->qemu);
    settings->qemu = found != NULL ? found : g_strdup(value);
    return TRUE;
}

/* One of three words. */
static gboolean
set_word(char **field, const char *key, const char *const known[4], const char *value,
         GError **error)
{
    if (!g_strv_contains(known, value))
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "%s is \"%s\"; it must be %s, %s or %s", key, value, known[0], known[1],
                            known[2]);
    g_free(*field);
    *field = g_strdup(value);
    return TRUE;
}

static gboolean
set_launcher(KhSettings *settings, const char *value, GError **error)
{
    static const char *const known[] = {"auto", "systemd", "direct", NULL};

    return set_word(&settings->launcher, "launcher", known, value, error);
}

static gboolean
set_accelerator(KhSettings *settings, const char *value, GError **error)
{
    static const char *const known[] = {"auto", "kvm", "tcg", NULL};

    return set_word(&settings->accelerator, "accelerator", known, value, error);
}

static gboolean
set_uids(KhSettings *settings, const char *value, GError **error)
{
    return kh_uid_range_parse(value, &settings->uids, error);
}

static gboolean
set_ports(KhSettings *settings, const char *value, GError **error)
{
    return kh_port_range_parse(value, &settings->ports, error);
}

static gboolean
set_number(guint *field, const char *key, const char *value, guint64 min, guint64 max,
           GError **error)
{
    guint64 number;

    if (!kh_number_parse(value, key, min, max, &number, error))
        return FALSE;
    *field = (guint)number;
    return TRUE;
}

static gboolean
set_on_service_stop(KhSettings *settings, const char *value, GError **error)
{
    settings->stop_all = g_str_equal(value, "stop-all");
    if (settings->stop_all || g_str_equal(value, "keep"))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "on-service-stop is \"%s\"; it must be keep or stop-all", value);
}

static gboolean
set_simulate_tee(KhSettings *settings, const char *value, GError **error)
{
    settings->simulate_tee = g_str_equal(value, "true");
    if (settings->simulate_tee || g_str_equal(value, "false"))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "insecure-simulate-tee is \"%s\"; it must be true or false", value);
}

static gboolean
set_max_instances(KhSettings *settings, const char *value, GError **error)
{
    return set_number(&settings->max_instances, "max-instances", value, 1, 10000, error);
}

static gboolean
set_log_size(KhSettings *settings, const char *value, GError **error)
{
    const guint64 min = 64 * 1024, max = 1024 * MIB;
    guint64 size;

    if (!kh_size_parse(value, &size, error)) {
        g_prefix_error(error, "log-size: ");
        return FALSE;
    }
    if (size < min || size > max) {
        g_autofree char *meant = kh_size_guess(size, min, max);

        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "log-size is \"%s\"; it must be from 64K to 1G%s%s%s", value,
                            meant != NULL ? "; did you mean " : "", meant != NULL ? meant : "",
                            meant != NULL ? "?" : "");
    }
    settings->log_size = size;
    return TRUE;
}

static gboolean
set_log_files(KhSettings *settings, const char *value, GError **error)
{
    return set_number(&settings->log_files, "log-files", value, 1, 16, error);
}

static gboolean
set_start_timeout(KhSettings *settings, const char *value, GError **error)
{
    return set_number(&settings->start_timeout, "start-timeout", value, 1, 3600, error);
}

static gboolean
set_stop_timeout(KhSettings *settings, const char *value, GError **error)
{
    return set_number(&settings->stop_timeout, "stop-timeout", value, 1, 3600, error);
}

/* The one list of keys: of the file's group, and as --KEY=VALUE. */
static const struct {
    const char *key;
    SetFunction set;
    const char *placeholder, *help;
    gboolean path; /* any bytes, else text */
} keys[] = {
    {"state-dir", set_state_dir, "DIR", "Folder for the state", TRUE},
    {"runtime-dir", set_runtime_dir, "DIR", "Folder for the machines' sockets", TRUE},
    {"boot-components", set_boot_components, "DIR",
     "Folder with kernel and initrd for new instances", TRUE},
    {"qemu", set_qemu, "PROGRAM", "QEMU's binary"},
    {"launcher", set_launcher, "NAME", "How machines are launched: auto, systemd or direct"},
    {"accelerator", set_accelerator, "NAME", "What machines run with: auto, kvm or tcg"},
    {"vm-uid-range", set_uids, "FIRST-LAST", "User ids for the machines, when the service is root"},
    {"port-range", set_ports, "FIRST-LAST", "Ports for instances (default: 5050-25049)"},
    {"on-service-stop", set_on_service_stop, "WHAT",
     "What becomes of instances when the service stops: keep or stop-all"},
    {"max-instances", set_max_instances, "N", "Maximum number of instances"},
    {"log-size", set_log_size, "SIZE", "Maximum size of a log file"},
    {"log-files", set_log_files, "N", "Maximum number of files of a log"},
    {"start-timeout", set_start_timeout, "SECONDS", "How long a start waits for RPC"},
    {"stop-timeout", set_stop_timeout, "SECONDS", "How long a guest may take to stop"},
    {"insecure-simulate-tee", set_simulate_tee, "BOOLEAN",
     "Start confidential machines unprotected, for tests: true or false"},
};

void
kh_settings_free(KhSettings *settings)
{
    g_free(settings->config_file);
    g_free(settings->shim);
    g_free(settings->state_dir);
    g_free(settings->runtime_dir);
    g_free(settings->boot_components);
    g_free(settings->qemu);
    g_free(settings->launcher);
    g_free(settings->accelerator);
    g_free(settings);
}

static void
set_system_places(KhSettings *s)
{
    s->state_dir = g_strdup(KH_LOCALSTATEDIR "/lib/katana-hypervisor");
    s->runtime_dir = g_strdup("/run/katana-hypervisor");
    s->boot_components = g_strdup(KH_COMPONENTSDIR);
}

static void
set_session_places(KhSettings *s)
{
    g_autofree char *data = kh_folder_path(KH_FOLDER_DATA);
    const char *runtime = kh_folder_runtime();

    s->state_dir = g_build_filename(data, "hypervisor", NULL);
    s->boot_components = g_build_filename(s->state_dir, "boot-components", NULL);
    if (!g_file_test(s->boot_components, G_FILE_TEST_IS_DIR)) {
        g_free(s->boot_components);
        s->boot_components = g_strdup(KH_COMPONENTSDIR);
    }
    if (runtime != NULL)
        s->runtime_dir = g_build_filename(runtime, "katana-hypervisor", NULL);
}

static void
set_defaults(KhSettings *s)
{
    if (s->session)
        set_session_places(s);
    else
        set_system_places(s);
    set_qemu(s, "qemu-system-x86_64", NULL);
    s->launcher = g_strdup("auto");
    s->accelerator = g_strdup("auto");
    kh_uid_range_parse(KH_UID_RANGE_DEFAULT, &s->uids, NULL);
    s->ports = KH_PORT_RANGE_DEFAULT;
    s->max_instances = 10000;
    s->log_size = 16 * MIB;
    s->log_files = 4;
    s->start_timeout = 120;
    s->stop_timeout = 30;
    if (s->shim == NULL)
        s->shim = g_strdup(KH_LIBEXECDIR "/katana-hypervisor-shim");
}

/* The key that was meant, in whatever case and whatever language's; NULL when none is near. */
static const char *
nearest_key(const char *key)
{
    const char *known[G_N_ELEMENTS(keys) + 1] = {NULL};
    g_autofree char *word = g_ascii_strdown(key, (gssize)strcspn(key, "["));

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        known[i] = keys[i].key;
    return kh_nearest_word(word, known);
}

static void
warn_of_unknown_key(const char *path, const char *key)
{
    const char *nearest = nearest_key(key);

    if (nearest != NULL)
        g_warning("%s has the unknown key \"%s\"; did you mean \"%s\"?", path, key, nearest);
    else
        g_warning("%s has the unknown key \"%s\", which has no effect", path, key);
}

/* What stands in another group is no setting, however much it looks like one. */
static void
warn_of_unknown_groups(GKeyFile *file, const char *path)
{
    const char *const known[] = {GROUP, NULL};
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (guint i = 0; groups[i] != NULL; i++) {
        g_autofree char *word = g_ascii_strdown(groups[i], -1);
        gboolean near = kh_nearest_word(g_strstrip(word), known) != NULL;

        if (!g_str_equal(groups[i], GROUP))
            g_warning("%s has the unknown group [%s], whose settings have no effect; %s", path,
                      groups[i],
                      near ? "did you mean [" GROUP "]?" : "settings belong in [" GROUP "]");
    }
}

static gboolean
apply(KhSettings *settings, const char *key, const char *value, gboolean *known, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].key, key)) {
            *known = TRUE;
            return keys[i].set(settings, value, error);
        }
    *known = FALSE;
    return TRUE;
}

static gboolean
apply_group(KhSettings *settings, GKeyFile *file, const char *path, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, GROUP, NULL, NULL);

    warn_of_unknown_groups(file, path);
    for (guint i = 0; names != NULL && names[i] != NULL; i++) {
        g_autofree char *value = g_key_file_get_string(file, GROUP, names[i], error);
        gboolean known;

        if (value == NULL || !apply(settings, names[i], g_strstrip(value), &known, error)) {
            g_prefix_error(error, "%s: ", path);
            return FALSE;
        }
        if (!known)
            warn_of_unknown_key(path, names[i]);
    }
    return TRUE;
}

static char *
default_file(gboolean session)
{
    g_autofree char *folder = NULL;

    if (!session)
        return g_strdup(KH_SYSCONFDIR "/katana-hypervisor.conf");
    folder = kh_folder_path(KH_FOLDER_CONFIG);
    return g_build_filename(folder, "katana-hypervisor.conf", NULL);
}

static void
refuse_file(const char *path, const GError *failure, GError **error)
{
    if (g_error_matches(failure, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND))
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "%s has a setting outside of any group; put the line [" GROUP "] above it",
                    path);
    else if (strstr(failure->message, BYTE_ORDER_MARK) != NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "%s begins with a byte order mark, which cannot be seen; save it as UTF-8 "
                    "without one",
                    path);
    else
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT, "%s cannot be read: %s", path,
                    failure->message);
}

static gboolean
read_file(KhSettings *settings, GError **error)
{
    gboolean given = settings->config_file != NULL;
    const char *path;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) failure = NULL;

    if (!given)
        settings->config_file = default_file(settings->session);
    path = settings->config_file;
    /* Another language's keys are kept to be warned of; GLib would drop them in silence. */
    if (g_key_file_load_from_file(file, path, G_KEY_FILE_KEEP_TRANSLATIONS, &failure))
        return apply_group(settings, file, path, error);
    if (!given && g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return TRUE;
    refuse_file(path, failure, error);
    return FALSE;
}

/* The options that are keys; their values are applied after the file's. */
static void
add_key_entries(GArray *entries, char **values)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        const GOptionEntry entry = {.long_name = keys[i].key,
                                    .arg =
                                        keys[i].path ? G_OPTION_ARG_FILENAME : G_OPTION_ARG_STRING,
                                    .arg_data = &values[i],
                                    .description = keys[i].help,
                                    .arg_description = keys[i].placeholder};

        g_array_append_val(entries, entry);
    }
}

static gboolean
parse_options(KhSettings *s, int argc, char **argv, char **values, GError **error)
{
    const GOptionEntry own[] = {
        {"session", 0, 0, G_OPTION_ARG_NONE, &s->session, "Serve the session bus", NULL},
        {"config", 0, 0, G_OPTION_ARG_FILENAME, &s->config_file, "Configuration file", "FILE"},
        {"shim", 0, 0, G_OPTION_ARG_STRING, &s->shim, "The shim's binary", "FILE"},
        {"yield-cgroup", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &s->yield_cgroup,
         "For ExecStopPost= with launcher=direct", NULL},
        {"adopt-empty-state", 0, 0, G_OPTION_ARG_NONE, &s->adopt,
         "Accept a new database beside instances that it does not know, and exit", NULL},
        {"verbose", 0, 0, G_OPTION_ARG_NONE, &s->verbose, "Say more", NULL},
        {"version", 0, 0, G_OPTION_ARG_NONE, &s->version, "Print the version", NULL},
    };
    g_autoptr(GArray) entries = g_array_new(TRUE, TRUE, sizeof(GOptionEntry));
    g_autoptr(GOptionContext) context = g_option_context_new("- runs Katana in virtual machines");
    g_auto(GStrv) copy = g_strdupv(argv);

    g_array_append_vals(entries, own, G_N_ELEMENTS(own));
    add_key_entries(entries, values);
    if (!kh_options_parse(context, (GOptionEntry *)(gpointer)entries->data, "--help", &copy, error))
        return FALSE;
    if (g_strv_length(copy) <= 1)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "\"%s\" is not an option, and nothing else can be given; see --help",
                        copy[1]);
}

static gboolean
apply_options(KhSettings *settings, char **values, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        if (values[i] != NULL && !keys[i].set(settings, values[i], error))
            return FALSE;
    return TRUE;
}

/* Without XDG_RUNTIME_DIR it is in the state folder, which may be set last. */
static void
finish(KhSettings *settings)
{
    if (settings->runtime_dir == NULL)
        settings->runtime_dir = g_build_filename(settings->state_dir, "run", NULL);
}

KhSettings *
kh_settings_read(int argc, char **argv, GError **error)
{
    g_autoptr(KhSettings) settings = g_new0(KhSettings, 1);
    char *values[G_N_ELEMENTS(keys)] = {NULL};
    gboolean read = parse_options(settings, argc, argv, values, error);

    if (read) {
        set_defaults(settings);
        read = read_file(settings, error) && apply_options(settings, values, error);
    }
    for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
        g_free(values[i]);
    if (!read)
        return NULL;
    finish(settings);
    return g_steal_pointer(&settings);
}
