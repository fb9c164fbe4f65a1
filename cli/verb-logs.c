/* SPDX-License-Identifier: MIT */
/* katana-hypervisor logs */
#include <unistd.h>

#include "client.h"
#include "error.h"
#include "log-follow.h"
#include "names.h"
#include "sizes.h"
#include "verbs.h"

#define LINES_DEFAULT 100

/* What the options say. */
typedef struct {
    gboolean follow;
    char *lines, *source;
    int boot;
} Options;

static void
options_clear(Options *self)
{
    g_free(self->lines);
    g_free(self->source);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static GVariant *
build_options(const Options *o, GError **error)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    guint64 number = LINES_DEFAULT;

    if (o->lines != NULL && !kh_number_parse(o->lines, "--lines", 0, G_MAXUINT32, &number, error))
        return NULL;
    g_variant_dict_insert(&options, "lines", "u", (guint32)number);
    g_variant_dict_insert(&options, "follow", "b", o->follow);
    g_variant_dict_insert(&options, "boot", "i", o->boot);
    if (o->source != NULL)
        g_variant_dict_insert(&options, "source", "s", o->source);
    return g_variant_ref_sink(g_variant_dict_end(&options));
}

/* A log that nobody has written yet looks like one that is lost. */
static void
note_never_started(KhCli *cli, const KhLogSubject *subject, gboolean follow)
{
    g_autoptr(GVariant) properties =
        kh_client_get_all(cli, subject->path, KH_INTERFACE_INSTANCE, NULL);
    guint64 started = 1;

    if (properties == NULL || !g_variant_lookup(properties, "StartedUSec", "t", &started) ||
        started != 0)
        return;
    kh_cli_note(cli, "%s has never been started%s", subject->name,
                follow ? "; its log is printed once it is" : ", and has no log");
}

/* Takes @fd. The errno of an output that cannot be written is *failure. */
static gboolean
print(KhCli *cli, const KhLogSubject *subject, const Options *o, int fd, int *failure,
      GError **error)
{
    KhLogOutput output;

    kh_log_output_init(&output);
    /* An earlier boot is followed by nothing. */
    if (o->follow && o->boot == 0) {
        note_never_started(cli, subject, TRUE);
        if (!kh_log_follow(cli, subject, &output, fd, failure, error))
            return FALSE;
    } else {
        *failure = kh_log_output_copy(&output, fd);
        close(fd);
        if (*failure == 0 && output.tail_length == 0)
            note_never_started(cli, subject, FALSE);
    }
    if (*failure == 0)
        *failure = kh_log_output_end(&output);
    return TRUE;
}

static gboolean
check_json(KhCli *cli, GError **error)
{
    if (!cli->json)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "logs prints text only; leave --json out");
}

static gboolean
run(KhCli *cli, const char *name, const Options *o, int *failure, GError **error)
{
    g_autoptr(GVariant) options = build_options(o, error);
    g_autofree char *path = options == NULL ? NULL : kh_client_find(cli, name, error);
    const KhLogSubject subject = {.name = name, .path = path, .source = o->source};
    int fd = path == NULL ? -1 : kh_log_open(cli, &subject, options, error);

    return fd >= 0 && print(cli, &subject, o, fd, failure, error);
}

int
kh_verb_logs(KhCli *cli)
{
    g_auto(Options) o = {.lines = NULL};
    const GOptionEntry entries[] = {
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &o.follow, "Keep printing what is added", NULL},
        {"lines", 'n', 0, G_OPTION_ARG_STRING, &o.lines,
         "Number of lines from the end, 0 for all (default: 100)", "N"},
        {"boot", 0, 0, G_OPTION_ARG_INT, &o.boot,
         "Boot of the log: 0 is the current one, -1 the one before it", "N"},
        {"source", 0, 0, G_OPTION_ARG_STRING, &o.source, "Whose log: guest (default) or qemu",
         "SOURCE"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GError *error = NULL;
    int failure = 0;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME", 1, 1, &error);

    if (names == NULL || !check_json(cli, &error) || !run(cli, names[0], &o, &failure, &error))
        return kh_cli_fail(cli, error);
    return failure == 0 ? 0 : kh_cli_fail_to_write(cli, failure);
}
