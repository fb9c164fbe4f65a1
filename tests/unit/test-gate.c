/* SPDX-License-Identifier: MIT */
/* Tests of the gate's table and limits, and of options. The gate at work: integration. */
#include "auth/gate.h"
#include "auth/methods.h"
#include "bus/options.h"
#include "dbus-generated.h"
#include "error.h"

static void
assert_actions(GDBusInterfaceInfo *interface)
{
    for (guint i = 0; interface->methods != NULL && interface->methods[i] != NULL; i++)
        g_assert_nonnull(kh_method_find(interface->name, interface->methods[i]->name));
}

static void
every_method_has_an_action(void)
{
    const KhMethod *create = kh_method_find("org.katana.Hypervisor.Manager", "CreateInstance");

    assert_actions(kh_dbus_manager_interface_info());
    assert_actions(kh_dbus_instance_interface_info());
    assert_actions(kh_dbus_image_interface_info());
    g_assert_null(kh_method_find("org.katana.Hypervisor.Manager", "Nonsense"));
    g_assert_null(kh_method_find("org.freedesktop.DBus.Properties", "Set"));
    g_assert_null(kh_method_find(NULL, "CreateInstance"));
    g_assert_cmpstr(create->action, ==, "create");
    g_assert_cmpint(create->expose_argument, ==, 1);
    g_assert_false(create->takes_descriptors);
}

static void
limits_per_sender(void)
{
    g_autoptr(KhLimits) limits = kh_limits_new();
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 16; i++)
        g_assert_true(kh_limits_enter(limits, ":1.1", KH_LIMIT_PROMPTS, NULL));
    g_assert_false(kh_limits_enter(limits, ":1.1", KH_LIMIT_PROMPTS, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED);
    g_assert_true(kh_limits_enter(limits, ":1.1", KH_LIMIT_STREAMS, NULL));
    g_assert_true(kh_limits_enter(limits, ":1.2", KH_LIMIT_PROMPTS, NULL));
    kh_limits_leave(limits, ":1.1", KH_LIMIT_PROMPTS);
    g_assert_true(kh_limits_enter(limits, ":1.1", KH_LIMIT_PROMPTS, NULL));
}

static void
options(void)
{
    static const KhOption known[] = {{"force", "b"}, {"timeout-usec", "t"}, {NULL, NULL}};
    static const struct {
        const char *text;
        gboolean good;
    } cases[] = {
        {"@a{sv} {}", TRUE},
        {"{'force': <true>}", TRUE},
        {"{'force': <1>}", FALSE},
        {"{'farce': <true>}", FALSE},
        {"{'timeout-usec': <uint64 1000000>}", TRUE},
        {"{'timeout-usec': <uint64 999999>}", FALSE},
        {"{'timeout-usec': <uint64 3600000001>}", FALSE},
        {"{'timeout-usec': <uint64 18446744073709551615>}", FALSE},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GVariant) dict =
            g_variant_parse(G_VARIANT_TYPE_VARDICT, cases[i].text, NULL, NULL, NULL);
        gint64 timeout;
        gboolean good =
            kh_options_check(dict, known, NULL) && kh_options_get_timeout(dict, &timeout, NULL);

        g_test_message("%s", cases[i].text);
        g_assert_cmpint(good, ==, cases[i].good);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gate/actions", every_method_has_an_action);
    g_test_add_func("/gate/limits", limits_per_sender);
    g_test_add_func("/gate/options", options);
    return g_test_run();
}
