/* SPDX-License-Identifier: MIT */
/* Tests of the list of configuration keys. */
#include "config-keys.h"

static void
defaults_parse(void)
{
    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) value =
            g_variant_parse(G_VARIANT_TYPE(key->type), key->fallback, NULL, NULL, &error);

        g_assert_no_error(error);
        g_assert_nonnull(value);
    }
}

static void
finds(void)
{
    g_assert_cmpstr(kh_config_key_find("memory-bytes")->option, ==, "memory");
    g_assert_null(kh_config_key_find("memory"));
    g_assert_null(kh_config_key_find(""));
}

static void
hints(void)
{
    g_assert_cmpstr(kh_config_key_nearest("vcpu"), ==, "vcpus");
    g_assert_cmpstr(kh_config_key_nearest("memory_bytes"), ==, "memory-bytes");
    g_assert_null(kh_config_key_nearest("entirely-different"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config-keys/defaults", defaults_parse);
    g_test_add_func("/config-keys/find", finds);
    g_test_add_func("/config-keys/hint", hints);
    return g_test_run();
}
