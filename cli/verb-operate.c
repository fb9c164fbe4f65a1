/* SPDX-License-Identifier: MIT */
/* katana-hypervisor start, stop, restart, reset, pause and resume. */
#include "verbs.h"

#define NO_WAIT "Do not wait for RPC"
#define WAIT "How long to wait for RPC"

static const KhVerbOperation stop = {.method = "Stop",
                                     .job = "stop",
                                     .goes_on = "stopping goes on",
                                     .already = "stopped",
                                     .goal = KH_GOAL_DOWN,
                                     .stops = TRUE};
static const KhVerbOperation restart = {.method = "Restart", .job = "restart", .stops = TRUE};
static const KhVerbOperation reset = {.method = "Reset", .job = "reset"};
static const KhVerbOperation pause_it = {.method = "Pause", .already = "paused"};
static const KhVerbOperation resume = {.method = "Resume", .already = "running"};

/* What --help says of the options; NULL: the verb has no such option. */
static const struct {
    const char *verb;
    const KhVerbOperation *operation;
    const char *force, *no_wait, *timeout;
} verbs[] = {
    {"start", &kh_operation_start, NULL, NO_WAIT, WAIT},
    {"stop", &stop, "Kill it: a power cut", NULL, "How long the guest may take"},
    {"restart", &restart, "Kill it instead of stopping it: a power cut", NO_WAIT, WAIT},
    {"reset", &reset, NULL, NO_WAIT, WAIT},
    {"pause", &pause_it, NULL, NULL, NULL},
    {"resume", &resume, NULL, NULL, NULL},
};

gboolean
kh_verb_add_timeout(GVariantDict *dict, const char *text, GError **error)
{
    double seconds;

    if (text == NULL)
        return TRUE;
    if (!kh_verb_parse_seconds(text, 1, 3600, &seconds, error))
        return FALSE;
    g_variant_dict_insert(dict, "timeout-usec", "t", (guint64)(seconds * G_USEC_PER_SEC));
    return TRUE;
}

static guint
find_verb(const char *name)
{
    guint i = 0;

    while (!g_str_equal(verbs[i].verb, name))
        i++;
    return i;
}

int
kh_verb_operate(KhCli *cli)
{
    const guint i = find_verb(cli->verb);
    gboolean force = FALSE, no_wait = FALSE;
    g_autofree char *timeout = NULL;
    const GOptionEntry known[] = {
        {"force", 0, 0, G_OPTION_ARG_NONE, &force, verbs[i].force, NULL},
        {"no-wait", 0, 0, G_OPTION_ARG_NONE, &no_wait, verbs[i].no_wait, NULL},
        {"timeout", 0, 0, G_OPTION_ARG_STRING, &timeout, verbs[i].timeout, "SECONDS"},
    };
    GOptionEntry entries[G_N_ELEMENTS(known) + 1] = {{.long_name = NULL}};
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    g_auto(GStrv) names = NULL;
    GError *error = NULL;

    for (guint j = 0, n = 0; j < G_N_ELEMENTS(known); j++)
        if (known[j].description != NULL)
            entries[n++] = known[j];
    names = kh_cli_parse(cli, entries, "NAME...", 1, G_MAXUINT, &error);
    if (names == NULL || !kh_verb_add_timeout(&options, timeout, &error))
        return kh_cli_fail(cli, error);
    if (force)
        g_variant_dict_insert(&options, "mode", "s", "kill");
    if (no_wait)
        g_variant_dict_insert(&options, "no-wait", "b", TRUE);
    return kh_verb_on_each(cli, names, verbs[i].operation, g_variant_dict_end(&options));
}
