/* SPDX-License-Identifier: MIT */
/* Attestations, printed; see attest-output.h. */
#include "attest-output.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "names.h"
#include "output.h"
#include "report-output.h"

#define TEXT_MAX 1024
#define KEY_WIDTH 20
/* The last second that GDateTime knows. */
#define TIME_MAX G_GUINT64_CONSTANT(253402300799)

/* A number as such, "none" for the one before the first. */
static void
set_number(JsonObject *object, const char *key, const KhFelt *felt)
{
    guint64 number;
    KhFelt none;

    kh_felt_max(&none);
    if (kh_felt_equal(felt, &none))
        json_object_set_string_member(object, key, "none");
    else if (kh_felt_to_u64(felt, &number))
        kh_output_set_text(object, key, g_strdup_printf("%" G_GUINT64_FORMAT, number));
    else
        kh_output_set_text(object, key, kh_felt_to_string(felt));
}

/* How old the host says that the block is. */
static char *
format_age(const KhAttestationInput *input)
{
    const KhHostClaims *claims = &input->claims;
    g_autoptr(GDateTime) time = NULL;
    g_autofree char *text = NULL;
    gint64 age;

    if (!claims->has_block_time || claims->block_time > TIME_MAX)
        return g_strdup("unknown");
    time = g_date_time_new_from_unix_utc((gint64)claims->block_time);
    text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
    age = input->time - (gint64)claims->block_time;
    return g_strdup_printf("%s, %" G_GINT64_FORMAT " s %s, claimed by the host", text, ABS(age),
                           age < 0 ? "ahead" : "before");
}

static void
set_not_bound(JsonObject *object, const KhQuote *quote)
{
    JsonArray *names = json_array_new();

    for (const char *const *name = kh_katana_binding_not_bound(quote); *name != NULL; name++)
        json_array_add_string_element(names, *name);
    json_object_set_array_member(object, "not_bound", names);
}

/* Block and range as Katana's answer has them. */
static JsonObject *
block_fields(const KhAttestationInput *input)
{
    const KhQuote *quote = input->quote;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "schema", kh_quote_schema_name(quote));
    if (quote->schema != KH_QUOTE_UNKNOWN) {
        set_number(object, "block", &quote->block_number);
        kh_output_set_text(object, "block_hash", kh_felt_to_string(&quote->block_hash));
        kh_output_set_text(object, "state_root", kh_felt_to_string(&quote->state_root));
    }
    if (quote->schema == KH_QUOTE_RANGE || quote->schema == KH_QUOTE_CONFIG) {
        set_number(object, "prev_block", &quote->prev_block_number);
        if (quote->sharding)
            set_number(object, "fork_block", &quote->fork_block_number);
    }
    set_not_bound(object, quote);
    kh_output_set_text(object, "block_time", format_age(input));
    return object;
}

static JsonArray *
text_array(const GPtrArray *texts)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < texts->len; i++) {
        g_autofree char *text = kh_text_sanitize(texts->pdata[i], TEXT_MAX);

        json_array_add_string_element(array, text);
    }
    return array;
}

static void
set_explanation(JsonObject *object, const KhExplanation *explanation)
{
    JsonObject *member;

    if (explanation == NULL) {
        json_object_set_null_member(object, "explanation");
        return;
    }
    member = json_object_new();
    json_object_set_boolean_member(member, "found", explanation->found);
    json_object_set_int_member(member, "candidates", (gint64)explanation->n_candidates);
    json_object_set_string_member(member, "text", explanation->text);
    json_object_set_object_member(object, "explanation", member);
}

static void
set_report(JsonObject *object, const KhVerification *verification)
{
    if (verification->chain == NULL)
        return;
    json_object_set_object_member(
        object, "report", kh_report_output_fields(verification->report, verification->product));
    json_object_set_array_member(object, "certificates",
                                 kh_report_output_path(verification->chain));
    kh_report_output_add_provider(object, verification->chain);
}

void
kh_attest_output_json(const KhAttestOutput *output)
{
    const KhAttestation *result = output->result;
    JsonObject *object = json_object_new();

    json_object_set_string_member(object, "name", output->name);
    json_object_set_string_member(object, "verdict", kh_verdict_name(result->verdict));
    kh_output_set_text(object, "summary", kh_attestation_summary(result));
    if (output->input->quote != NULL)
        json_object_set_object_member(object, "katana", block_fields(output->input));
    set_report(object, result->verification);
    json_object_set_array_member(object, "checks",
                                 kh_report_output_checks(result->verification->checks));
    json_object_set_array_member(object, "claimed_by_host", text_array(result->claimed));
    json_object_set_array_member(object, "not_covered", text_array(result->uncovered));
    json_object_set_array_member(object, "notes", text_array(output->notes));
    set_explanation(object, result->explanation);
    kh_output_json_object(object);
}

static void
print_list(const char *heading, const GPtrArray *texts)
{
    if (texts->len == 0)
        return;
    printf("\n%s\n", heading);
    for (guint i = 0; i < texts->len; i++) {
        g_autofree char *text = kh_text_sanitize(texts->pdata[i], TEXT_MAX);

        printf("  %s\n", text);
    }
}

static void
print_explanation(const char *text)
{
    g_autofree char *shown = kh_text_sanitize(text, strlen(text));

    printf("\nThe measurement: %s\n", shown);
}

static void
print_tcb(const KhVerification *verification)
{
    KhTcb tcb = kh_report_tcb(verification->report, KH_REPORT_REPORTED_TCB, verification->product);
    g_autofree char *text = kh_tcb_format(&tcb);

    printf("%-*s %s\n", KEY_WIDTH, "reported_tcb", text);
}

/* What a person wants to read of the report; --json has all of it. */
static void
print_report(const KhVerification *verification)
{
    static const KhReportField fields[] = {KH_REPORT_CHIP_ID, KH_REPORT_MEASUREMENT};
    const KhCheck *measurement = kh_checks_find(verification->checks, "V9");

    if (verification->chain == NULL)
        return;
    printf("%-*s %s\n", KEY_WIDTH, "product", kh_product_name(verification->product));
    if (verification->product != KH_PRODUCT_UNKNOWN)
        print_tcb(verification);
    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        gsize length;
        const guint8 *data = kh_report_field(verification->report, fields[i], &length);
        g_autofree char *hex = kh_bytes_to_hex(data, length);

        printf("%-*s %s\n", KEY_WIDTH, kh_report_field_name(fields[i]), hex);
    }
    printf("%-*s %s%s\n", KEY_WIDTH, "expected",
           measurement->expected == NULL ? "-" : measurement->expected,
           measurement->source == KH_SOURCE_HOST ? " (claimed by the host)" : "");
    kh_report_output_path_text(verification->chain);
}

void
kh_attest_output_text(const KhAttestOutput *output)
{
    const KhAttestation *result = output->result;
    g_autofree char *summary = kh_attestation_summary(result);

    printf("%s: %s\n\n", output->name, summary);
    if (output->input->quote != NULL) {
        g_autoptr(JsonObject) fields = block_fields(output->input);

        kh_report_output_text(fields);
    }
    print_report(result->verification);
    putchar('\n');
    kh_report_output_checks_text(result->verification->checks);
    if (result->explanation != NULL)
        print_explanation(result->explanation->text);
    print_list("Notes:", output->notes);
    print_list("Rests on the host's word:", result->claimed);
    print_list("Not covered by any verdict:", result->uncovered);
    printf("\n%s\n", kh_verdict_name(result->verdict));
}
