/* SPDX-License-Identifier: MIT */
/* What the verbs that operate on several instances share; see verbs.h. */
#include "client.h"
#include "error.h"
#include "names.h"
#include "output.h"
#include "verbs.h"

typedef struct {
    KhCli *cli;
    const KhVerbOperation *operation;
    GVariant *options;
    JsonArray *documents; /* with --json */
} Each;

/* A deletion takes what was named, never what happens to begin like it. */
static gboolean
check_exact(GVariant *properties, const char *name, GError **error)
{
    const char *id = "", *real = "";

    g_variant_lookup(properties, "Id", "&s", &id);
    g_variant_lookup(properties, "Name", "&s", &real);
    if (g_str_equal(id, name) || g_str_equal(real, name))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_NOT_FOUND,
        "\"%s\" is only the beginning of an id; a deletion needs the whole name or id", name);
}

static const char *
text_of(GVariant *properties, const char *property)
{
    const char *text = "";

    g_variant_lookup(properties, property, "&s", &text);
    return text;
}

/* Before the call: a state that makes it pointless, or join what is under way. */
static void
note_before(Each *self, const char *name, GVariant *before)
{
    const KhVerbOperation *operation = self->operation;
    const char *state = text_of(before, "State");

    if (operation->job == NULL && g_str_equal(state, operation->already))
        kh_cli_note(self->cli, "%s is already %s", name, state);
    else if (operation == &kh_operation_start && g_str_equal(state, "starting"))
        kh_cli_note(self->cli, "%s is already starting", name);
}

static void
note_nothing_done(Each *self, const char *name, GVariant *after)
{
    const char *state = text_of(after, "State");

    if (g_str_equal(state, self->operation->already))
        kh_cli_note(self->cli, "%s is already %s", name, state);
    else
        kh_cli_note(self->cli, "%s: there was nothing to do; it is %s", name, state);
}

/* Only of a machine that was there: the property keeps what an earlier stop has come to. */
static void
note_how_it_stopped(Each *self, const char *name, GVariant *before, GVariant *after)
{
    const char *result = text_of(after, "StopResult");
    const char *mode = "";
    guint32 pid = 0;

    g_variant_lookup(before, "MainPid", "u", &pid);
    g_variant_lookup(self->options, "mode", "&s", &mode);
    if (pid == 0)
        return;
    if (g_str_equal(result, "forced") && !g_str_equal(mode, "kill"))
        kh_cli_note(self->cli, "warning: %s did not stop by itself and had to be forced", name);
    else if (self->cli->verbose && result[0] != '\0')
        kh_cli_note(self->cli, "%s: the stop was %s", name, result);
}

/* Where to find what is nobody's now. */
static void
note_kept_disk(Each *self, const char *name, GVariant *before)
{
    guint64 started = 0;
    gboolean keep = FALSE;
    g_autofree char *disk = g_build_filename(text_of(before, "DataDirectory"), "data.raw", NULL);

    g_variant_lookup(self->options, "keep-data", "b", &keep);
    g_variant_lookup(before, "StartedUSec", "t", &started);
    if (keep && started > 0)
        kh_cli_note(self->cli, "the data disk of %s is kept as %s", name, disk);
    else if (keep)
        kh_cli_note(self->cli, "%s was never started and had no data disk to keep", name);
}

static gboolean
report(Each *self, const char *name, const char *path, const char *job, GVariant *before,
       GError **error)
{
    const gboolean gone = self->operation->goal == KH_GOAL_GONE;
    gboolean no_wait = FALSE;
    g_autoptr(GError) failure = NULL;
    /* Somebody else may have deleted it since. */
    g_autoptr(GVariant) after =
        gone ? NULL : kh_client_get_all(self->cli, path, KH_INTERFACE_INSTANCE, &failure);

    if (failure != NULL && kh_cli_exit_code(failure) != KH_EXIT_NOT_FOUND) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
    }
    g_variant_lookup(self->options, "no-wait", "b", &no_wait);
    if (after != NULL && job != NULL && g_str_equal(job, "/"))
        note_nothing_done(self, name, after);
    else if (after != NULL && self->operation->stops && !no_wait)
        note_how_it_stopped(self, name, before, after);
    else if (after == NULL)
        note_kept_disk(self, name, before);
    if (self->cli->json)
        json_array_add_element(self->documents,
                               kh_output_properties(after != NULL ? after : before));
    return TRUE;
}

GVariant *
kh_verb_look_up(KhCli *cli, const KhVerbOperation *operation, const char *name, char **path,
                GError **error)
{
    g_autofree char *found = kh_client_find(cli, name, error);
    g_autoptr(GVariant) properties = NULL;

    if (found != NULL)
        properties = kh_client_get_all(cli, found, KH_INTERFACE_INSTANCE, error);
    if (properties == NULL ||
        (operation->goal == KH_GOAL_GONE && !check_exact(properties, name, error)))
        return NULL;
    if (path != NULL)
        *path = g_steal_pointer(&found);
    return g_steal_pointer(&properties);
}

static gboolean
operate(Each *self, const char *name, GError **error)
{
    g_autofree char *path = NULL;
    g_autofree char *job = NULL;
    g_autoptr(GVariant) before = kh_verb_look_up(self->cli, self->operation, name, &path, error);

    if (before == NULL)
        return FALSE;
    note_before(self, name, before);
    return kh_operation_run(self->cli, self->operation, name, path, self->options, &job, error) &&
           report(self, name, path, job, before, error);
}

/* A Ctrl-C is meant for those that have not had their turn, too. */
static gboolean
check_interrupted(Each *self, char **names, GError **error)
{
    g_autofree char *left = NULL;

    if (!self->cli->interrupted)
        return TRUE;
    left = g_strjoinv(", ", names);
    return kh_error_set(error, KH_ERROR_CANCELLED, "Interrupted; nothing was done to %s", left);
}

int
kh_verb_on_each(KhCli *cli, char **names, const KhVerbOperation *operation, GVariant *options)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    g_autoptr(JsonArray) documents = json_array_new();
    Each each = {cli, operation, held, documents};
    int first = 0;

    for (; *names != NULL; names++) {
        GError *error = NULL;
        gboolean goes_on = check_interrupted(&each, names, &error);
        int code;

        if (goes_on && operate(&each, *names, &error))
            continue;
        code = kh_cli_fail(cli, error);
        first = first != 0 ? first : code;
        if (!goes_on)
            break;
    }
    if (cli->json && (first == 0 || json_array_get_length(documents) > 0))
        kh_output_json_array(json_array_ref(documents));
    return first;
}

gboolean
kh_verb_print_json(KhCli *cli, const char *path, GError **error)
{
    g_autoptr(GVariant) properties = kh_client_get_all(cli, path, KH_INTERFACE_INSTANCE, error);

    if (properties != NULL)
        kh_output_json(kh_output_properties(properties));
    return properties != NULL;
}

gboolean
kh_verb_parse_seconds(const char *text, double min, double max, double *seconds, GError **error)
{
    char *end;

    *seconds = g_ascii_strtod(text, &end);
    if (end != text && *end == '\0' && *seconds >= min && *seconds <= max)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "--timeout is \"%s\"; it must be from %.0f to %.0f seconds", text, min,
                        max);
}
