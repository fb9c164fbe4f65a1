/* SPDX-License-Identifier: MIT */
/* Fuzz target: what a node answers to tee_generateQuote, and the checks K1 to K6 on it. */
#include "fuzz.h"
#include "katana-binding.h"

static void
expect_everything(KhKatanaExpectations *expected)
{
    *expected = (KhKatanaExpectations){
        .chain_id = {.set = TRUE, .source = KH_SOURCE_OPTION},
        .block = {.set = TRUE, .source = KH_SOURCE_OPTION, .number = 2},
        .min_block = {.set = TRUE, .source = KH_SOURCE_OPTION, .number = 1},
        .fork_block = {.set = TRUE, .source = KH_SOURCE_OPTION, .number = 42},
    };
    kh_felt_from_short_string("KATANA", &expected->chain_id.felt, NULL);
}

static void
run_checks(const KhQuote *quote, const guint8 *report_data, const KhKatanaExpectations *expected)
{
    g_autoptr(KhChecks) checks = kh_checks_new();

    kh_katana_binding_add_checks(checks);
    kh_katana_binding_run(checks, quote, report_data, expected);
    /* Nothing is left unsettled without a word. */
    for (guint i = 0; i < kh_checks_get_length(checks); i++) {
        const KhCheck *check = kh_checks_get(checks, i);

        g_assert(check->status == KH_CHECK_PASSED || check->reason != NULL);
        g_assert(check->status != KH_CHECK_PASSED || quote->schema != KH_QUOTE_UNKNOWN);
    }
}

static void
try_quote(KhQuote *parsed)
{
    g_autoptr(KhQuote) quote = parsed;
    const KhKatanaExpectations none = {0};
    KhKatanaExpectations expected;
    const guint8 *report_data = quote == NULL ? NULL : kh_quote_report_data(quote, NULL);

    if (report_data == NULL)
        return;
    expect_everything(&expected);
    run_checks(quote, report_data, &none);
    run_checks(quote, report_data, &expected);
    g_assert(kh_katana_binding_not_bound(quote) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    KhQuote *quote = kh_quote_parse_answer((const char *)data, size, &error);

    g_assert((quote == NULL) == (error != NULL));
    try_quote(quote);
    try_quote(kh_quote_parse((const char *)data, size, NULL));
    return 0;
}
