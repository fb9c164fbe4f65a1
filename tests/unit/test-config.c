/* SPDX-License-Identifier: MIT */
/* Tests of the checked configuration. */
#include "model/config.h"

#include <string.h>

#include "error.h"
#include "model/config-checks.h"
#include "model/katana-args.h"

static const KhConfigLimits limits = {G_GUINT64_CONSTANT(1) << 35, G_GUINT64_CONSTANT(1) << 43};

static KhConfig *
parse(const char *text, GError **error)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);

    g_assert_nonnull(dict);
    return kh_config_new(dict, &limits, error);
}

static void
defaults(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhConfig) config = parse("{}", &error);
    g_auto(GStrv) args = NULL;

    g_assert_no_error(error);
    g_assert_cmpuint(config->vcpus, ==, 4);
    g_assert_cmpuint(config->memory_bytes, ==, G_GUINT64_CONSTANT(1) << 32);
    g_assert_cmpstr(config->rpc_address, ==, "127.0.0.1");
    args = kh_config_guest_args(config);
    g_assert_cmpuint(g_strv_length(args), ==, 0);
}

static void
refusals(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{'vcpu': <uint32 1>}", "vcpus"},
        {"{'nonsense-key': <1>}", "nonsense-key"},
        {"{'vcpus': <1>}", "'u'"},
        {"{'vcpus': <uint32 0>}", "vcpus"},
        {"{'vcpus': <uint32 4096>}", "255"},
        {"{'vcpus': <uint32 1>, 'vcpus': <uint32 2>}", "twice"},
        {"{'memory-bytes': <uint64 1>}", "memory-bytes"},
        {"{'memory-bytes': <uint64 1000000000000>}", "this host"},
        {"{'storage-bytes': <uint64 0>}", "storage-bytes"},
        {"{'rpc-port': <uint16 80>}", "rpc-port"},
        {"{'rpc-address': <'localhost'>}", "rpc-address"},
        {"{'rpc-address': <'::1'>}", "rpc-address"},
        {"{'no-fee': <true>}", "dev"},
        {"{'accounts': <uint16 3>}", "dev"},
        {"{'chain-id': <'a b'>}", "chain-id"},
        {"{'chain-id': <'--dev'>}", "chain-id"},
        {"{'accelerator': <'hvf'>}", "accelerator"},
        {"{'katana-args': <['--http.port=1']>}", "--http.port"},
        {"{'katana-args': <['--db-dir']>}", "--db-dir"},
        {"{'katana-args': <['a b']>}", "blank"},
        {"{'katana-args': <['']>}", "empty"},
        {"{'labels': <{'': 'x'}>}", "label"},
        {"{'description': <'a\\nb'>}", "cannot be printed"},
        {"{'description': <'\\u202e'>}", "cannot be printed"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(KhConfig) config = parse(cases[i].text, &error);

        g_test_message("%s: %s", cases[i].text, error != NULL ? error->message : "accepted");
        g_assert_null(config);
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, cases[i].says));
    }
}

/* 256 characters, of however many bytes; they count to what the bus has to take. */
static void
descriptions(void)
{
    g_autofree char *wide = g_strnfill(256, 'x');
    g_autofree char *joined = NULL, *text = NULL, *longer = NULL;
    g_auto(GStrv) parts = g_strsplit(wide, "x", -1);
    g_autoptr(KhConfig) config = NULL;
    g_autoptr(GError) error = NULL;

    joined = g_strjoinv("ü", parts);
    text = g_strdup_printf("{'description': <'%s'>}", joined);
    longer = g_strdup_printf("{'description': <'%sx'>}", joined);
    config = parse(text, NULL);
    g_assert_cmpstr(config->description, ==, joined);
    g_assert_cmpuint(config->labels_bytes, ==, 512);
    g_assert_null(parse(longer, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

static void
secrets_stay_out_of_errors(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(KhConfig) config = parse("{'katana-args': <['--key 0xsecret']>}", &error);

    g_assert_null(config);
    g_assert_null(strstr(error->message, "secret"));
}

static void
guest_args(void)
{
    g_autoptr(KhConfig) config =
        parse("{'dev': <true>, 'accounts': <uint16 3>, 'no-fee': <true>, 'chain-id': <'SN_X'>, "
              "'block-time': <uint64 500>, 'katana-args': <['--http.cors-origins=*']>}",
              NULL);
    g_auto(GStrv) args = kh_config_guest_args(config);
    g_autofree char *line = g_strjoinv(" ", args);

    g_assert_cmpstr(line, ==,
                    "--dev --dev.accounts 3 --dev.no-fee --block-time 500 --chain-id SN_X "
                    "--http.cors-origins=*");
}

/* A confidential one has an attester, unless another is asked for. */
static void
guest_attester(void)
{
    g_autoptr(KhConfig) config = parse("{'tee': <true>}", NULL);
    g_autoptr(KhConfig) own = parse("{'tee': <true>, 'katana-args': <['--tee', 'mock']>}", NULL);
    g_auto(GStrv) args = kh_config_guest_args(config);
    g_auto(GStrv) own_args = kh_config_guest_args(own);
    g_autofree char *line = g_strjoinv(" ", args);
    g_autofree char *own_line = g_strjoinv(" ", own_args);

    g_assert_cmpstr(line, ==, "--tee=sev-snp");
    g_assert_cmpstr(own_line, ==, "--tee mock");
}

static void
text_round_trip(void)
{
    g_autoptr(KhConfig) config =
        parse("{'katana-args': <['--a=\\'\"$(x)']>, 'labels': <{'k': 'v'}>}", NULL);
    g_autoptr(KhConfig) moved = kh_config_with(config, "rpc-port", g_variant_new_uint16(5099));
    g_autofree char *text = kh_config_to_text(moved);
    g_autoptr(GError) error = NULL;
    g_autoptr(KhConfig) again = kh_config_from_text(text, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(again->rpc_port, ==, 5099);
    g_assert_cmpstr(again->katana_args[0], ==, "--a='\"$(x)");
    g_assert_true(g_variant_equal(again->dict, moved->dict));
    g_assert_null(kh_config_from_text("{'x'", NULL));
}

/* What a running machine takes at once, and what waits. */
static void
changes(void)
{
    g_autoptr(KhConfig) config = parse("{'vcpus': <uint32 2>, 'chain-id': <'A'>}", NULL);
    g_autoptr(GVariant) wish = g_variant_ref_sink(
        g_variant_new_parsed("{'vcpus': <uint32 3>, 'restart-policy': <'always'>}"));
    g_autoptr(GVariant) merged = kh_config_merge(config, wish);
    g_autofree char *text = g_variant_print(merged, TRUE);
    g_autoptr(KhConfig) wanted = parse(text, NULL);
    g_autoptr(KhConfig) now = kh_config_with_live_keys(config, wanted);
    g_auto(GStrv) all = kh_config_differences(config, wanted);
    g_auto(GStrv) later = kh_config_differences(now, wanted);
    g_autofree char *both = g_strjoinv(" ", all), *rest = g_strjoinv(" ", later);

    g_assert_cmpstr(wanted->chain_id, ==, "A");
    g_assert_cmpuint(now->vcpus, ==, 2);
    g_assert_cmpstr(now->restart_policy, ==, "always");
    g_assert_cmpstr(both, ==, "vcpus restart-policy");
    g_assert_cmpstr(rest, ==, "vcpus");
}

/* No value of an argument is left in what a guest says; options and short words are. */
static void
redaction(void)
{
    g_autoptr(KhConfig) config = parse("{'katana-args': <['--key', '0xDEADBEEF01', "
                                       "'--prover=secret-of-it', 'no']>}",
                                       NULL);
    g_autofree char *text =
        kh_config_redact(config, "no --key 0xDEADBEEF01, 0xDEADBEEF01; secret-of-it");

    g_assert_cmpstr(text, ==, "no --key [redacted], [redacted]; [redacted]");
}

/* Neither one that begins like another, nor one that the end of the text has cut. */
static void
redaction_of_parts(void)
{
    g_autoptr(KhConfig) config =
        parse("{'katana-args': <['http://host', '--url=http://host/token']>}", NULL);
    g_autofree char *whole = kh_config_redact(config, "at http://host/token, http://host");
    g_autofree char *cut = kh_config_redact(config, "no http://host/tok");

    g_assert_cmpstr(whole, ==, "at [redacted], [redacted]");
    g_assert_cmpstr(cut, ==, "no [redacted]");
}

/* A key given twice in a change is refused, not taken once. */
static void
change_twice(void)
{
    g_autoptr(KhConfig) config = parse("@a{sv} {}", NULL);
    g_auto(GVariantBuilder) twice = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    g_autoptr(GVariant) wish = NULL;
    g_autoptr(GVariant) merged = NULL;
    g_autoptr(GError) error = NULL;

    g_variant_builder_add(&twice, "{sv}", "vcpus", g_variant_new_uint32(2));
    g_variant_builder_add(&twice, "{sv}", "vcpus", g_variant_new_uint32(3));
    wish = g_variant_ref_sink(g_variant_builder_end(&twice));
    merged = kh_config_merge(config, wish);
    g_assert_null(kh_config_new(merged, &limits, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
}

static void
exposure(void)
{
    static const struct {
        const char *text;
        gboolean exposes;
    } cases[] = {
        {"@a{sv} {}", FALSE},
        {"{'rpc-address': <'127.0.0.1'>}", FALSE},
        {"{'rpc-address': <'0.0.0.0'>}", TRUE},
        {"{'rpc-address': <'127.0.0.2'>}", TRUE},
        {"{'outbound': <true>}", TRUE},
        {"{'outbound': <false>, 'outbound': <true>}", TRUE},
        {"{'rpc-address': <'0.0.0.0'>, 'rpc-address': <'127.0.0.1'>}", TRUE},
        {"{'outbound': <'yes'>}", FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GVariant) dict =
            g_variant_parse(G_VARIANT_TYPE_VARDICT, cases[i].text, NULL, NULL, NULL);

        g_assert_cmpint(kh_config_exposes(dict), ==, cases[i].exposes);
    }
}

/* Whatever the value is, and wherever in the dictionary the key stands. */
static void
endpoints(void)
{
    static const struct {
        const char *text;
        gboolean moves;
    } cases[] = {
        {"@a{sv} {}", FALSE},
        {"{'labels': <{'a': 'b'}>, 'vcpus': <uint32 1>, 'image': <'default'>}", FALSE},
        {"{'labels': <{'a': 'b'}>, 'rpc-port': <uint16 0>}", TRUE},
        {"{'rpc-address': <'127.0.0.1'>}", TRUE},
        {"{'outbound': <false>}", TRUE},
        {"{'katana-args': <1>}", TRUE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GVariant) dict =
            g_variant_parse(G_VARIANT_TYPE_VARDICT, cases[i].text, NULL, NULL, NULL);

        g_assert_cmpint(kh_config_moves_endpoint(dict), ==, cases[i].moves);
    }
}

static void
confidential(void)
{
    static const struct {
        const char *text, *part; /* NULL: accepted */
    } cases[] = {
        {"{'tee': <true>}", NULL},
        {"{'tee': <true>, 'sealed': <true>, 'vcpu-type': <'EPYC-Milan-v2'>}", NULL},
        {"{'tee': <true>, 'vcpu-type': <'host'>}", "differs from host to host"},
        {"{'tee': <true>, 'vcpu-type': <'max'>}", "differs from host to host"},
        {"{'tee': <true>, 'vcpu-type': <'Skylake'>}", "no known measurement"},
        {"{'tee': <true>, 'accelerator': <'tcg'>}", "only runs with kvm"},
        {"{'vcpu-type': <'EPYC-Milan'>}", "used with tee"},
        {"{'sealed': <true>}", "sealed can only be used with tee"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) dict =
            g_variant_parse(G_VARIANT_TYPE_VARDICT, cases[i].text, NULL, NULL, NULL);
        g_autoptr(KhConfig) config = kh_config_new(dict, &limits, &error);

        g_assert_cmpint(config != NULL, ==, cases[i].part == NULL);
        if (config != NULL)
            continue;
        g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error->message, cases[i].part));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config/defaults", defaults);
    g_test_add_func("/config/refusals", refusals);
    g_test_add_func("/config/secrets", secrets_stay_out_of_errors);
    g_test_add_func("/config/descriptions", descriptions);
    g_test_add_func("/config/guest-args", guest_args);
    g_test_add_func("/config/guest-attester", guest_attester);
    g_test_add_func("/config/text", text_round_trip);
    g_test_add_func("/config/changes", changes);
    g_test_add_func("/config/redaction", redaction);
    g_test_add_func("/config/redaction-of-parts", redaction_of_parts);
    g_test_add_func("/config/change-twice", change_twice);
    g_test_add_func("/config/exposure", exposure);
    g_test_add_func("/config/endpoints", endpoints);
    g_test_add_func("/config/confidential", confidential);
    return g_test_run();
}
