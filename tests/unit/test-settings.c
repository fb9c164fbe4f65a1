/* SPDX-License-Identifier: MIT */
/* Tests of the service's settings: file, options, their order and what is refused. */
#include "settings.h"

#include <glib/gstdio.h>

#include "error.h"

typedef struct {
    char *folder, *file;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("kh-settings-XXXXXX", NULL);
    f->file = g_build_filename(f->folder, "test.conf", NULL);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_unlink(f->file);
    g_rmdir(f->folder);
    g_free(f->file);
    g_free(f->folder);
}

/* Reads @text as the file, then @option; NULL for none. */
static KhSettings *
settings_of(Fixture *f, const char *text, const char *option, GError **error)
{
    g_autofree char *config = g_strconcat("--config=", f->file, NULL);
    char *argv[] = {(char *)"katana-hypervisord", config, (char *)option, NULL};

    g_assert_true(g_file_set_contents(f->file, text, -1, NULL));
    return kh_settings_read(option == NULL ? 2 : 3, argv, error);
}

static void
defaults(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s = settings_of(f, "", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(s->runtime_dir, ==, "/run/katana-hypervisor");
    g_assert_cmpstr(s->launcher, ==, "auto");
    g_assert_cmpstr(s->accelerator, ==, "auto");
    g_assert_cmpuint(s->ports.first, ==, 5050);
    g_assert_cmpuint(s->ports.last, ==, 25049);
    g_assert_cmpuint(s->start_timeout, ==, 120);
    g_assert_cmpuint(s->stop_timeout, ==, 30);
    g_assert_cmpuint(s->uids.first, ==, 1879113728);
    g_assert_false(s->simulate_tee);
}

/* The installed sample, its every setting in force: b141 */
static char *
read_sample(void)
{
    const char *path = g_getenv("KH_SAMPLE_SETTINGS");
    g_autofree char *text = NULL;
    g_autoptr(GRegex) comment = g_regex_new("^#([a-z-]+=)", G_REGEX_MULTILINE, 0, NULL);

    if (path == NULL)
        return NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_regex_replace(comment, text, -1, 0, "\\1", 0, NULL);
}

/* A sample that lies: it says what is the default. An unknown key would be a fatal warning. */
static void
sample(Fixture *f, gconstpointer data)
{
    g_autofree char *text = read_sample();
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s = NULL;
    g_autoptr(KhSettings) d = NULL;

    if (text == NULL) {
        g_test_skip("KH_SAMPLE_SETTINGS is not set");
        return;
    }
    s = settings_of(f, text, NULL, &error);
    g_assert_no_error(error);
    d = settings_of(f, "", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(s->state_dir, ==, d->state_dir);
    g_assert_cmpstr(s->runtime_dir, ==, d->runtime_dir);
    g_assert_cmpstr(s->boot_components, ==, d->boot_components);
    g_assert_cmpstr(s->qemu, ==, d->qemu);
    g_assert_cmpstr(s->launcher, ==, d->launcher);
    g_assert_cmpstr(s->accelerator, ==, d->accelerator);
    g_assert_cmpmem(&s->uids, sizeof s->uids, &d->uids, sizeof d->uids);
    g_assert_cmpmem(&s->ports, sizeof s->ports, &d->ports, sizeof d->ports);
    g_assert_cmpint(s->stop_all, ==, d->stop_all);
    g_assert_cmpint(s->simulate_tee, ==, d->simulate_tee);
    g_assert_cmpuint(s->max_instances, ==, d->max_instances);
    g_assert_cmpuint(s->log_size, ==, d->log_size);
    g_assert_cmpuint(s->log_files, ==, d->log_files);
    g_assert_cmpuint(s->start_timeout, ==, d->start_timeout);
    g_assert_cmpuint(s->stop_timeout, ==, d->stop_timeout);
}

static void
simulation(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s =
        settings_of(f, "[hypervisor]\ninsecure-simulate-tee=true\n", NULL, &error);
    g_autoptr(KhSettings) bad = settings_of(f, "", "--insecure-simulate-tee=yes", NULL);

    g_assert_no_error(error);
    g_assert_true(s->simulate_tee);
    g_assert_null(bad);
}

static void
option_over_file(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s = settings_of(
        f, "[hypervisor]\nstart-timeout=7\nstop-timeout=8\nport-range=6000-6001\nlog-size = 1M\n",
        "--start-timeout=9", &error);

    g_assert_no_error(error);
    g_assert_cmpuint(s->start_timeout, ==, 9);
    g_assert_cmpuint(s->stop_timeout, ==, 8);
    g_assert_cmpuint(s->ports.first, ==, 6000);
    g_assert_cmpuint(s->log_size, ==, 1 << 20);
}

static void
unknown_key(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s = NULL;

    g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING,
                          "*unknown key \"stop-timeuot\"; did you mean \"stop-timeout\"?");
    s = settings_of(f, "[hypervisor]\nstop-timeuot=8\n", NULL, &error);
    g_test_assert_expected_messages();
    g_assert_no_error(error);
    g_assert_cmpuint(s->stop_timeout, ==, 30);
}

/* What looks like a setting and has no effect is never passed over in silence. */
static void
without_effect(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *text, *warning;
    } cases[] = {
        {"[Hypervisor]\nstop-timeout=8\n", "*unknown group [Hypervisor]*mean [hypervisor]?"},
        {"[hypervisr]\nstop-timeout=8\n", "*unknown group [hypervisr]*mean [hypervisor]?"},
        {"[HYPERVISOR]\nstop-timeout=8\n", "*unknown group [HYPERVISOR]*mean [hypervisor]?"},
        {"[hypervisor ]\nstop-timeout=8\n", "*unknown group [hypervisor ]*mean [hypervisor]?"},
        {"[service]\nstop-timeout=8\n", "*unknown group [service]*belong in [hypervisor]"},
        {"[hypervisor]\nStop-Timeout=8\n", "*\"Stop-Timeout\"; did you mean \"stop-timeout\"?"},
        {"[hypervisor]\nSTOP-TIMEOUT=8\n", "*\"STOP-TIMEOUT\"; did you mean \"stop-timeout\"?"},
        {"[hypervisor]\nstop-timeout[xx]=8\n",
         "*\"stop-timeout[xx]\"; did you mean \"stop-timeout\"?"},
        {"[hypervisor]\ncolour-of-the-sky=8\n", "*\"colour-of-the-sky\", which has no effect"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(KhSettings) s = NULL;

        g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, cases[i].warning);
        s = settings_of(f, cases[i].text, NULL, &error);
        g_test_assert_expected_messages();
        g_assert_no_error(error);
        g_assert_cmpuint(s->stop_timeout, ==, 30);
    }
}

static void
outside_of_groups(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(settings_of(f, "# mine\nstop-timeout=8\n", NULL, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_assert_nonnull(strstr(error->message, "put the line [hypervisor] above it"));
}

/* Each names its key, from the file and from the command line alike. */
static void
bad_values(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *key, *value;
    } cases[] = {
        {"state-dir", "relative"},   {"runtime-dir", "relative"},
        {"boot-components", "x"},    {"accelerator", "xen"},
        {"launcher", "docker"},      {"vm-uid-range", "5-9"},
        {"vm-uid-range", "70000"},   {"vm-uid-range", "9000-8000"},
        {"port-range", "1-2"},       {"port-range", "5050"},
        {"port-range", "6000-5000"}, {"port-range", "5050-70000"},
        {"max-instances", "0"},      {"log-size", "1K"},
        {"log-size", "2G"},          {"log-size", "many"},
        {"log-files", "17"},         {"start-timeout", "0"},
        {"start-timeout", "3601"},   {"stop-timeout", "1e3"},
        {"stop-timeout", "-1"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text =
            g_strdup_printf("[hypervisor]\n%s=%s\n", cases[i].key, cases[i].value);
        g_autofree char *option = g_strdup_printf("--%s=%s", cases[i].key, cases[i].value);
        g_autoptr(GError) in_file = NULL;
        g_autoptr(GError) in_option = NULL;

        g_assert_null(settings_of(f, text, NULL, &in_file));
        g_assert_error(in_file, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(g_strrstr(in_file->message, cases[i].key));
        g_assert_nonnull(g_strrstr(in_file->message, f->file));
        g_assert_null(settings_of(f, "", option, &in_option));
        g_assert_error(in_option, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(g_strrstr(in_option->message, cases[i].key));
    }
}

static void
bad_files(Fixture *f, gconstpointer data)
{
    char *absent[] = {(char *)"katana-hypervisord", (char *)"--config=/nonexistent/x.conf", NULL};
    g_autoptr(GError) missing = NULL;
    g_autoptr(GError) broken = NULL;
    g_autoptr(GError) surplus = NULL;

    g_assert_null(kh_settings_read(2, absent, &missing));
    g_assert_error(missing, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_assert_null(settings_of(f, "no group\n", NULL, &broken));
    g_assert_error(broken, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    g_assert_null(settings_of(f, "", "surplus", &surplus));
    g_assert_error(surplus, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

static void
session_places(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s = settings_of(f, "", "--session", &error);
    g_autofree char *state = g_build_filename(g_get_user_data_dir(), "hypervisor", NULL);

    g_assert_no_error(error);
    g_assert_true(s->session);
    g_assert_cmpstr(s->state_dir, ==, state);
}

static void
runtime_place(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhSettings) s = settings_of(f, "[hypervisor]\nruntime-dir=/run/two\n", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(s->runtime_dir, ==, "/run/two");
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/settings/defaults", defaults);
    ADD("/settings/sample", sample);
    ADD("/settings/option-over-file", option_over_file);
    ADD("/settings/unknown-key", unknown_key);
    ADD("/settings/without-effect", without_effect);
    ADD("/settings/outside-of-groups", outside_of_groups);
    ADD("/settings/bad-values", bad_values);
    ADD("/settings/bad-files", bad_files);
    ADD("/settings/simulation", simulation);
    ADD("/settings/session", session_places);
    ADD("/settings/runtime", runtime_place);
    return g_test_run();
}
