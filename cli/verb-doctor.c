/* SPDX-License-Identifier: MIT */
/* katana-hypervisor doctor */
#include <stdio.h>

#include "client.h"
#include "doctor/verdict.h"
#include "local-doctor.h"
#include "names.h"
#include "output.h"
#include "verbs.h"

#define TEXT_MAX 4096
/* Where what was found begins; a remedy stands below it. */
#define FOUND_COLUMN 25

#define SNP_PREFIX "snp-"

static const char details[] =
    "The last two lines say whether plain and whether confidential instances run here: yes, no, or "
    "slow, and why. Exits 0 when plain instances run, with --tee when confidential ones do, else "
    "1. Without a service the host is checked for one with its usual settings.";

static GVariant *
fetch(KhCli *cli, GError **error)
{
    g_autoptr(GError) failure = NULL;
    GVariant *checks = kh_client_ask(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, "CheckHost",
                                     g_variant_new("(a{sv})", NULL), "(a(ssss))", &failure);

    if (checks != NULL)
        return checks;
    if (kh_cli_exit_code(failure) == KH_EXIT_UNAVAILABLE) {
        g_dbus_error_strip_remote_error(failure);
        return kh_local_doctor_check(failure->message, cli->bus, kh_client_is_session(cli));
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return NULL;
}

/* "snp-..." is of confidential instances alone. */
static gboolean
is_judged(const char *check, gboolean tee)
{
    return tee || !g_str_has_prefix(check, SNP_PREFIX);
}

/* "ok", "warn" or "fail"; a word that is none of the first two fails, and so does no check. */
static const char *
worst_of(GVariant *checks, gboolean tee)
{
    const char *worst = g_variant_n_children(checks) > 0 ? "ok" : "fail", *check, *status;
    GVariantIter iter;

    g_variant_iter_init(&iter, checks);
    while (g_variant_iter_next(&iter, "(&s&s&s&s)", &check, &status, NULL, NULL)) {
        if (g_str_equal(status, "ok") || !is_judged(check, tee))
            continue;
        if (!g_str_equal(status, "warn"))
            return "fail";
        worst = "warn";
    }
    return worst;
}

static JsonArray *
to_array(GVariant *checks)
{
    JsonArray *array = json_array_new();
    const char *check, *status, *found, *remedy;
    GVariantIter iter;

    g_variant_iter_init(&iter, checks);
    while (g_variant_iter_next(&iter, "(&s&s&s&s)", &check, &status, &found, &remedy)) {
        JsonObject *one = json_object_new();

        kh_output_set_text(one, "check", kh_text_sanitize(check, TEXT_MAX));
        kh_output_set_text(one, "status", kh_text_sanitize(status, TEXT_MAX));
        kh_output_set_text(one, "found", kh_text_sanitize(found, TEXT_MAX));
        kh_output_set_text(one, "remedy", kh_text_sanitize(remedy, TEXT_MAX));
        json_array_add_object_element(array, one);
    }
    return array;
}

static void
print_json(GVariant *checks, gboolean tee)
{
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "status", worst_of(checks, tee));
    json_object_set_array_member(object, "checks", to_array(checks));
    kh_output_json_object(object);
}

static void
print_one(const char *check, const char *status, const char *found, const char *remedy)
{
    g_autofree char *name = kh_text_sanitize(check, KH_NAME_MAX);
    g_autofree char *word = kh_text_sanitize(status, KH_NAME_MAX);
    g_autofree char *text = kh_text_sanitize(found, TEXT_MAX);
    g_autofree char *help = kh_text_sanitize(remedy, TEXT_MAX);

    printf("%-18s  %-4s %s\n", name, word, text);
    if (*help != '\0')
        printf("%*s%s\n", FOUND_COLUMN + 2, "> ", help);
}

static void
print_table(GVariant *checks, gboolean tee)
{
    const char *check, *status, *found, *remedy;
    GVariantIter iter;

    g_variant_iter_init(&iter, checks);
    while (g_variant_iter_next(&iter, "(&s&s&s&s)", &check, &status, &found, &remedy))
        if (is_judged(check, tee))
            print_one(check, status, found, remedy);
        else if (g_str_equal(check, KH_VERDICT_SNP))
            print_one(check, status, found,
                      *remedy == '\0' ? "" : "katana-hypervisor doctor --tee shows all of it");
}

int
kh_verb_doctor(KhCli *cli)
{
    gboolean tee = FALSE;
    const GOptionEntry entries[] = {
        {"tee", 0, 0, G_OPTION_ARG_NONE, &tee,
         "Show and judge also what confidential instances need", NULL},
        {NULL, 0, 0, 0, NULL, NULL, NULL},
    };
    GError *error = NULL;
    g_auto(GStrv) none = NULL;
    g_autoptr(GVariant) checks = NULL;

    cli->details = g_strdup(details);
    none = kh_cli_parse(cli, entries, "", 0, 0, &error);
    if (none != NULL)
        checks = fetch(cli, &error);
    if (checks == NULL)
        return kh_cli_fail(cli, error);
    if (cli->json)
        print_json(checks, tee);
    else
        print_table(checks, tee);
    return g_str_equal(worst_of(checks, tee), "fail") ? KH_EXIT_FAILED : KH_EXIT_DONE;
}
