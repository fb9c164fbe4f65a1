/* SPDX-License-Identifier: MIT */
/* katana-hypervisor doctor */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "local-doctor.h"
#include "names.h"
#include "output.h"
#include "verbs.h"

#define TEXT_MAX 4096
#define EXIT_UNREACHABLE 7 /* see cli.c */
/* Where what was found begins; a remedy stands below it. */
#define FOUND_COLUMN 25

static const char details[] = "Exits 0 when no check fails, else 1. A check whose name begins "
                              "with \"snp-\" is for confidential instances alone. Without a "
                              "service the host is checked for one with its usual settings.";

static GVariant *
fetch(KhCli *cli, GError **error)
{
    g_autoptr(GError) failure = NULL;
    GVariant *checks = kh_client_ask(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, "CheckHost",
                                     g_variant_new("(a{sv})", NULL), "(a(ssss))", &failure);

    if (checks != NULL)
        return checks;
    if (kh_cli_exit_code(failure) == EXIT_UNREACHABLE) {
        g_dbus_error_strip_remote_error(failure);
        return kh_local_doctor_check(failure->message, cli->bus, kh_client_is_session(cli));
    }
    g_propagate_error(error, g_steal_pointer(&failure));
    return NULL;
}

/* "ok", "warn" or "fail"; a word that is none of the first two fails, and so does no check. */
static const char *
worst_of(GVariant *checks)
{
    const char *worst = g_variant_n_children(checks) > 0 ? "ok" : "fail", *status;
    GVariantIter iter;

    g_variant_iter_init(&iter, checks);
    while (g_variant_iter_next(&iter, "(&s&s&s&s)", NULL, &status, NULL, NULL)) {
        if (g_str_equal(status, "ok"))
            continue;
        if (!g_str_equal(status, "warn"))
            return "fail";
        worst = "warn";
    }
    return worst;
}

static void
add_member(JsonObject *object, const char *key, const char *value)
{
    g_autofree char *text = kh_text_sanitize(value, TEXT_MAX);

    json_object_set_string_member(object, key, text);
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

        add_member(one, "check", check);
        add_member(one, "status", status);
        add_member(one, "found", found);
        add_member(one, "remedy", remedy);
        json_array_add_object_element(array, one);
    }
    return array;
}

static void
print_json(GVariant *checks)
{
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) object = json_object_new();

    json_object_set_string_member(object, "status", worst_of(checks));
    json_object_set_array_member(object, "checks", to_array(checks));
    json_node_set_object(root, object);
    kh_output_json(root);
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
print_table(GVariant *checks)
{
    const char *check, *status, *found, *remedy;
    GVariantIter iter;

    g_variant_iter_init(&iter, checks);
    while (g_variant_iter_next(&iter, "(&s&s&s&s)", &check, &status, &found, &remedy))
        print_one(check, status, found, remedy);
}

int
kh_verb_doctor(KhCli *cli)
{
    GError *error = NULL;
    g_auto(GStrv) none = NULL;
    g_autoptr(GVariant) checks = NULL;

    cli->details = g_strdup(details);
    none = kh_cli_parse(cli, NULL, "", 0, 0, &error);
    if (none != NULL)
        checks = fetch(cli, &error);
    if (checks == NULL)
        return kh_cli_fail(cli, error);
    if (cli->json)
        print_json(checks);
    else
        print_table(checks);
    return g_str_equal(worst_of(checks), "fail") ? 1 : 0;
}
