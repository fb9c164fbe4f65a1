/* SPDX-License-Identifier: MIT */
/* Tests of what the command line prints, and of its exit codes. */
#include "cli.h"
#include "error.h"
#include "output.h"

static void
keys(void)
{
    static const struct {
        const char *property, *key;
    } cases[] = {
        {"Name", "name"},
        {"RpcPort", "rpc_port"},
        {"CreatedUSec", "created_usec"},
        {"BootTimeUSec", "boot_time_usec"},
        {"memory-bytes", "memory-bytes"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *key = kh_output_key(cases[i].property);

        g_assert_cmpstr(key, ==, cases[i].key);
    }
}

static char *
json_of(const char *text)
{
    g_autoptr(GVariant) properties =
        g_variant_ref_sink(g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL));
    g_autoptr(JsonNode) node = kh_output_properties(properties);

    return json_to_string(node, FALSE);
}

static void
json(void)
{
    static const struct {
        const char *properties, *document;
    } cases[] = {
        {"@a{sv} {}", "{}"},
        {"{'Name': <'x\"y'>, 'RpcPort': <uint16 5050>}", "{\"name\":\"x\\\"y\",\"rpc_port\":5050}"},
        {"{'LastError': <('', '')>}", "{\"last_error\":null}"},
        {"{'LastError': <('E', 'm')>}", "{\"last_error\":{\"name\":\"E\",\"message\":\"m\"}}"},
        {"{'Labels': <{'a': 'b'}>}", "{\"labels\":{\"a\":\"b\"}}"},
        {"{'BootComponents': <[('vmlinuz', '/p', 'ab')]>}",
         "{\"boot_components\":[{\"part\":\"vmlinuz\",\"path\":\"/p\",\"sha256\":\"ab\"}]}"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *document = json_of(cases[i].properties);

        g_assert_cmpstr(document, ==, cases[i].document);
    }
}

static void
exit_codes(void)
{
    static const struct {
        KhError code;
        int exit;
    } cases[] = {
        {KH_ERROR_FAILED, 1},
        {KH_ERROR_INVALID_ARGUMENT, 2},
        {KH_ERROR_NOT_FOUND, 3},
        {KH_ERROR_ALREADY_EXISTS, 4},
        {KH_ERROR_INVALID_STATE, 4},
        {KH_ERROR_BUSY, 4},
        {KH_ERROR_PORT_UNAVAILABLE, 4},
        {KH_ERROR_NOT_AUTHORIZED, 5},
        {KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN, 5},
        {KH_ERROR_NOT_AUTHORIZED_DISMISSED, 5},
        {KH_ERROR_TIMED_OUT, 6},
        {KH_ERROR_LAUNCH_FAILED, 1},
        {KH_ERROR_INTEGRITY_MISMATCH, 1},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = g_error_new(KH_ERROR, (int)cases[i].code, "x");

        g_assert_cmpint(kh_cli_exit_code(error), ==, cases[i].exit);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/output/keys", keys);
    g_test_add_func("/output/json", json);
    g_test_add_func("/output/exit-codes", exit_codes);
    return g_test_run();
}
