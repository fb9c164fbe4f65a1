/* SPDX-License-Identifier: MIT */
/* Reports and checks, printed; see report-output.h. */
#include "report-output.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "names.h"
#include "output.h"

#define PROVIDER_MAX 256
#define KEY_WIDTH 20
#define STATUS_WIDTH 14

static void
add_hex_number(JsonObject *object, const char *key, guint64 number)
{
    kh_output_set_text(object, key, g_strdup_printf("0x%" G_GINT64_MODIFIER "x", number));
}

static void
add_bits(JsonObject *object, const char *key, guint64 bits, guint from, char *(*name_of)(guint))
{
    JsonArray *names = json_array_new();

    for (guint bit = from; bit < 64; bit++)
        if (bits >> bit & 1) {
            g_autofree char *name = name_of(bit);

            json_array_add_string_element(names, name);
        }
    json_object_set_array_member(object, key, names);
}

static const char *
signing_key_name(guint key)
{
    switch (key) {
    case KH_SIGNING_KEY_VCEK:
        return "VCEK";
    case KH_SIGNING_KEY_VLEK:
        return "VLEK";
    case KH_SIGNING_KEY_NONE:
        return "none";
    default:
        return "unknown";
    }
}

/* The parts by name, where the layout is known, and the bytes as they stand in the report. */
static void
add_tcb(JsonObject *object, const KhReport *report, KhReportTcb which, KhProduct product)
{
    KhTcb tcb = kh_report_tcb(report, which, product);
    JsonObject *parts = json_object_new();

    for (int i = 0; product != KH_PRODUCT_UNKNOWN && i < KH_N_TCB_PARTS; i++)
        if (tcb.part[i] != KH_TCB_NONE)
            json_object_set_int_member(parts, kh_tcb_part_name((KhTcbPart)i), tcb.part[i]);
    kh_output_set_text(parts, "raw", kh_bytes_to_hex(kh_report_tcb_raw(report, which), 8));
    json_object_set_object_member(object, kh_report_tcb_name(which), parts);
}

static void
add_product(JsonObject *object, const KhReport *report, KhProduct product)
{
    JsonObject *cpuid;

    json_object_set_string_member(object, "product", kh_product_name(product));
    if (report->version < 3)
        return;
    cpuid = json_object_new();
    json_object_set_int_member(cpuid, "family", report->family);
    json_object_set_int_member(cpuid, "model", report->model);
    json_object_set_int_member(cpuid, "stepping", report->stepping);
    json_object_set_object_member(object, "cpuid", cpuid);
}

static void
add_numbers(JsonObject *object, const KhReport *report)
{
    json_object_set_int_member(object, "guest_svn", report->guest_svn);
    add_hex_number(object, "policy", report->policy);
    add_bits(object, "policy_bits", report->policy, 16, kh_report_policy_bit_name);
    json_object_set_int_member(object, "vmpl", report->vmpl);
    json_object_set_int_member(object, "signature_algorithm", report->signature_algorithm);
    add_hex_number(object, "platform_info", report->platform_info);
    add_bits(object, "platform_bits", report->platform_info, 0, kh_report_platform_bit_name);
    add_hex_number(object, "key_info", report->key_info);
    json_object_set_string_member(object, "signing_key", signing_key_name(report->signing_key));
    json_object_set_boolean_member(object, "author_key", report->author_key);
}

JsonObject *
kh_report_output_fields(const KhReport *report, KhProduct product)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "version", report->version);
    add_product(object, report, product);
    add_numbers(object, report);
    for (int i = 0; i < KH_N_REPORT_FIELDS; i++) {
        gsize length;
        const guint8 *data = kh_report_field(report, (KhReportField)i, &length);

        kh_output_set_text(object, kh_report_field_name((KhReportField)i),
                           kh_bytes_to_hex(data, length));
    }
    for (int i = 0; i < KH_N_REPORT_TCBS; i++)
        add_tcb(object, report, (KhReportTcb)i, product);
    kh_output_set_text(object, "current_version",
                       kh_report_version_format(report->current_version));
    kh_output_set_text(object, "committed_version",
                       kh_report_version_format(report->committed_version));
    if (report->version >= 5) {
        add_hex_number(object, "launch_mitigations", report->launch_mitigations);
        add_hex_number(object, "current_mitigations", report->current_mitigations);
    }
    return object;
}

/* A value of one word, or a list of those. */
static char *
plain_text(JsonNode *node)
{
    g_autoptr(GString) text = g_string_new(NULL);
    JsonArray *array;

    if (!JSON_NODE_HOLDS_ARRAY(node)) {
        if (json_node_get_value_type(node) == G_TYPE_STRING)
            return json_node_dup_string(node);
        return json_to_string(node, FALSE);
    }
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++)
        g_string_append_printf(text, "%s%s", i > 0 ? ", " : "",
                               json_array_get_string_element(array, i));
    return g_strdup(text->len > 0 ? text->str : "-");
}

static char *
object_text(JsonObject *object)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GList) names = json_object_get_members(object);

    for (GList *name = names; name != NULL; name = name->next) {
        g_autofree char *value = plain_text(json_object_get_member(object, name->data));

        g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", (char *)name->data,
                               value);
    }
    return g_strdup(text->str);
}

void
kh_report_output_text(JsonObject *fields)
{
    g_autoptr(GList) names = json_object_get_members(fields);

    for (GList *name = names; name != NULL; name = name->next) {
        JsonNode *node = json_object_get_member(fields, name->data);
        g_autofree char *value = JSON_NODE_HOLDS_OBJECT(node)
                                     ? object_text(json_node_get_object(node))
                                     : plain_text(node);

        g_autofree char *shown = kh_text_sanitize(value, strlen(value));

        printf("%-*s %s\n", KEY_WIDTH, (char *)name->data, shown);
    }
}

static void
add_text(JsonObject *object, const char *key, const char *text)
{
    if (text == NULL)
        json_object_set_null_member(object, key);
    else
        json_object_set_string_member(object, key, text);
}

JsonArray *
kh_report_output_checks(const KhChecks *checks)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < kh_checks_get_length(checks); i++) {
        const KhCheck *check = kh_checks_get(checks, i);
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "id", check->id);
        json_object_set_string_member(object, "status", kh_check_status_name(check->status));
        add_text(object, "reason", check->reason);
        add_text(object, "expected", check->expected);
        add_text(object, "actual", check->actual);
        json_object_set_string_member(object, "source", kh_check_source_name(check->source));
        json_array_add_object_element(array, object);
    }
    return array;
}

static void
print_check(const KhCheck *check)
{
    gboolean failed = check->status == KH_CHECK_FAILED;

    printf("%-5s %-*s %s", check->id, STATUS_WIDTH, kh_check_status_name(check->status),
           check->title);
    if (check->reason != NULL)
        printf(": %s", check->reason);
    else if (check->actual != NULL)
        printf(": %s", check->actual);
    if (check->source != KH_SOURCE_BUILT_IN)
        printf(" [%s]", kh_check_source_name(check->source));
    putchar('\n');
    if (failed && check->expected != NULL)
        printf("%*s expected %s\n", 5 + 1 + STATUS_WIDTH, "", check->expected);
    if (failed && check->actual != NULL)
        printf("%*s actual   %s\n", 5 + 1 + STATUS_WIDTH, "", check->actual);
}

void
kh_report_output_checks_text(const KhChecks *checks)
{
    for (guint i = 0; i < kh_checks_get_length(checks); i++)
        print_check(kh_checks_get(checks, i));
}

/* The cloud provider that a VLEK names; NULL: none. */
static const char *
find_provider(const KhChain *chain)
{
    return chain->extensions == NULL ? NULL : chain->extensions->csp_id;
}

JsonArray *
kh_report_output_path(const KhChain *chain)
{
    const KhCertificate *const path[] = {chain->leaf, chain->intermediate, chain->root};
    JsonArray *array = json_array_new();

    for (guint i = 0; i < G_N_ELEMENTS(path); i++) {
        JsonObject *object;

        if (path[i] == NULL)
            continue;
        object = json_object_new();
        json_object_set_string_member(object, "role", kh_role_name(path[i]->role));
        json_object_set_string_member(object, "subject", path[i]->subject);
        json_object_set_string_member(object, "file", path[i]->origin);
        kh_output_set_text(object, "sha256", kh_bytes_to_hex(path[i]->sha256, KH_FINGERPRINT_SIZE));
        json_array_add_object_element(array, object);
    }
    return array;
}

void
kh_report_output_path_text(const KhChain *chain)
{
    const KhCertificate *const path[] = {chain->leaf, chain->intermediate, chain->root};

    for (guint i = 0; i < G_N_ELEMENTS(path); i++)
        if (path[i] != NULL)
            printf("%-*s %s (%s)\n", KEY_WIDTH, kh_role_name(path[i]->role), path[i]->subject,
                   path[i]->origin);
    if (find_provider(chain) != NULL) {
        g_autofree char *provider = kh_text_sanitize(find_provider(chain), PROVIDER_MAX);

        printf("%-*s %s\n", KEY_WIDTH, "csp_id", provider);
    }
}

void
kh_report_output_add_provider(JsonObject *object, const KhChain *chain)
{
    if (find_provider(chain) != NULL)
        kh_output_set_text(object, "csp_id", kh_text_sanitize(find_provider(chain), PROVIDER_MAX));
}
