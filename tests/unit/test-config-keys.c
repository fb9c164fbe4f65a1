/* SPDX-License-Identifier: MIT */
/* Tests of the list of configuration keys. */
#include "config-keys.h"

#include "dbus-generated.h"

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
    g_assert_cmpstr(kh_config_key_nearest("MemoryBytes"), ==, "memory-bytes");
    g_assert_cmpstr(kh_config_key_nearest("RpcPort"), ==, "rpc-port");
    g_assert_cmpstr(kh_config_key_nearest("memory"), ==, "memory-bytes");
    g_assert_cmpstr(kh_config_key_nearest("bind"), ==, "rpc-address");
    g_assert_cmpstr(kh_config_key_nearest("memroy"), ==, "memory-bytes");
    g_assert_null(kh_config_key_nearest("entirely-different"));
}

/* "rpc-port" as the property that shows it: "RpcPort". */
static char *
property_of(const char *key)
{
    g_auto(GStrv) words = g_strsplit(key, "-", -1);

    for (guint i = 0; words[i] != NULL; i++)
        words[i][0] = g_ascii_toupper(words[i][0]);
    return g_strjoinv("", words);
}

/* What only an administrator may read is in no property. */
static void
secrets(void)
{
    guint found = 0;

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autofree char *property = property_of(key->key);

        if (!kh_config_key_is_secret(key->key))
            continue;
        found++;
        g_assert_null(
            g_dbus_interface_info_lookup_property(kh_dbus_instance_interface_info(), property));
    }
    g_assert_cmpuint(found, >, 0);
    g_assert_true(kh_config_key_is_secret("katana-args"));
}

/* All that the guest's arguments are made of, and what opens or moves its port. */
static void
endpoints(void)
{
    static const char *const others[] = {"vcpus", "labels", "image", "restart-policy", "tee"};

    g_assert_true(kh_config_key_is_endpoint("katana-args"));
    g_assert_true(kh_config_key_is_endpoint("rpc-port"));
    for (gsize i = 0; i < G_N_ELEMENTS(others); i++)
        g_assert_false(kh_config_key_is_endpoint(others[i]));
    g_assert_false(kh_config_key_is_endpoint("nonsense"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/config-keys/defaults", defaults_parse);
    g_test_add_func("/config-keys/find", finds);
    g_test_add_func("/config-keys/hint", hints);
    g_test_add_func("/config-keys/secrets", secrets);
    g_test_add_func("/config-keys/endpoints", endpoints);
    return g_test_run();
}
