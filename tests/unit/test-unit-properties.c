/* SPDX-License-Identifier: MIT */
/* Tests of what the systemd launcher asks for; that it works is seen in tests/boot. */
#include "launch/unit-properties.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "launch/systemd-bus.h"

#define GIB (G_GUINT64_CONSTANT(1) << 30)

static char *no_args[] = {(char *)"-machine", (char *)"q35", NULL};

static KhLaunchSpec
example(void)
{
    return (KhLaunchSpec){.id = "0123abcd",
                          .name = "one",
                          .state_folder = "/var/lib/k/instances/0123abcd",
                          .runtime_folder = "/run/k/0123abcd",
                          .uid = 1879113728,
                          .kernel = "/var/lib/k/vmlinuz",
                          .initrd = "/var/lib/k/initrd.img",
                          .qemu = "/usr/bin/qemu-system-x86_64",
                          .qemu_args = no_args,
                          .log_size = 1 << 20,
                          .log_files = 4,
                          .stop_timeout = 30,
                          .memory_max = 4 * GIB};
}

/* The text of property @name; fails where it is there twice. NULL for none. */
static char *
text_of(GVariant *properties, const char *name)
{
    char *text = NULL;
    GVariantIter iter;
    const char *key;
    GVariant *value;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_loop(&iter, "(&sv)", &key, &value))
        if (g_str_equal(key, name)) {
            g_assert_null(text);
            text = g_variant_print(value, TRUE);
        }
    return text;
}

static void
assert_property(GVariant *properties, const char *name, const char *wanted)
{
    g_autofree char *found = text_of(properties, name);

    g_assert_cmpstr(found, ==, wanted);
}

/* The fields are bytes without an end. */
static void
assert_log_fields(GVariant *properties, const char *wanted)
{
    g_autoptr(GVariant) list = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    GVariantIter iter;
    GVariant *value;
    const char *key;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_loop(&iter, "(&sv)", &key, &value))
        if (g_str_equal(key, "LogExtraFields"))
            list = g_variant_ref(value);
    g_assert_nonnull(list);
    g_assert_cmpstr(g_variant_get_type_string(list), ==, "aay");
    for (gsize i = 0; i < g_variant_n_children(list); i++) {
        g_autoptr(GVariant) field = g_variant_get_child_value(list, i);

        g_string_append_len(text, g_variant_get_data(field), (gssize)g_variant_get_size(field));
        g_string_append_c(text, ' ');
    }
    g_assert_cmpstr(text->str, ==, wanted);
}

static void
machine(void)
{
    KhLaunchSpec launch = example();
    g_autoptr(GVariant) p =
        g_variant_ref_sink(kh_unit_properties_of_machine(KH_UNIT_MANAGER_SYSTEM, "/shim", &launch));
    g_autofree char *command = text_of(p, "ExecStart");

    assert_property(p, "MemoryMax", "uint64 4294967296");
    assert_property(p, "CPUQuotaPerSecUSec", NULL);
    assert_property(p, "TimeoutStopUSec", "uint64 45000000");
    assert_property(p, "KillMode", "'mixed'");
    assert_property(p, "After", "['katana-hypervisord.service', 'dbus.service']");
    assert_property(p, "ReadWritePaths", "['/var/lib/k/instances/0123abcd', '/run/k/0123abcd']");
    assert_property(p, "ProtectHome", "'yes'");
    assert_property(p, "PrivateTmp", "true");
    assert_property(p, "PrivateDevices", "true");
    assert_property(p, "DeviceAllow", NULL);
    assert_property(p, "CapabilityBoundingSet", "uint64 448");
    assert_property(p, "SyslogIdentifier", "'katana-hypervisor-shim'");
    assert_log_fields(p, "KATANA_INSTANCE=one KATANA_INSTANCE_ID=0123abcd ");
    g_assert_true(g_str_has_prefix(command, "[('/shim', ['/shim', '--run', "));
    g_assert_true(g_str_has_suffix(command, "'-machine', 'q35'], false)]"));
    g_assert_null(strstr(command, "--ready-fd"));
}

/* systemd takes "$$" for a "$" and expands nothing; the program's own path it takes as it is. */
static void
dollars(void)
{
    KhLaunchSpec launch = example();
    g_autoptr(GVariant) p = NULL;
    g_autofree char *command = NULL;

    launch.state_folder = "/var/$HOME/${HOME}/%n/$$";
    p = g_variant_ref_sink(
        kh_unit_properties_of_machine(KH_UNIT_MANAGER_SYSTEM, "/$x/shim", &launch));
    command = text_of(p, "ExecStart");
    g_assert_true(g_str_has_prefix(command, "[('/$x/shim', ['/$$x/shim', '--run', "));
    g_assert_nonnull(strstr(command, "'--state-dir', '/var/$$HOME/$${HOME}/%n/$$$$', "));
    assert_property(p, "ReadWritePaths", "['/var/$HOME/${HOME}/%n/$$', '/run/k/0123abcd']");
    assert_property(p, "ExecStartEx", NULL);
}

static void
machine_with_more(void)
{
    KhLaunchSpec launch = example();
    g_autoptr(GVariant) p = NULL;

    launch.kvm = TRUE;
    launch.cpu_quota = 150;
    launch.stop_timeout = 100;
    launch.state_folder = "/root/state/0123abcd";
    launch.initrd = "/tmp/initrd.img";
    p = g_variant_ref_sink(kh_unit_properties_of_machine(KH_UNIT_MANAGER_SYSTEM, "/shim", &launch));
    assert_property(p, "CPUQuotaPerSecUSec", "uint64 1500000");
    assert_property(p, "TimeoutStopUSec", "uint64 115000000");
    assert_property(p, "PrivateDevices", "false");
    assert_property(p, "DeviceAllow", "[('/dev/kvm', 'rw')]");
    assert_property(p, "ProtectHome", "'read-only'");
    assert_property(p, "PrivateTmp", "false");
}

/* By the number that the service has found, and asks nobody for again. */
static void
group_of_the_device(void)
{
    KhLaunchSpec launch = example();
    g_autofree char *without = NULL, *with = NULL, *none = NULL;
    g_auto(GStrv) ordinary = NULL, kvm = NULL, no_group = NULL;

    launch.kvm_gid = 47110815;
    ordinary = kh_launcher_build_run_args(&launch, -1);
    launch.kvm = TRUE;
    kvm = kh_launcher_build_run_args(&launch, -1);
    launch.kvm_gid = -1;
    no_group = kh_launcher_build_run_args(&launch, -1);
    without = g_strjoinv(" ", ordinary);
    with = g_strjoinv(" ", kvm);
    none = g_strjoinv(" ", no_group);
    g_assert_null(strstr(without, "--group"));
    g_assert_nonnull(strstr(with, " --group 47110815 "));
    g_assert_null(strstr(none, "--group"));
}

static void
mount_on(const char *folder)
{
    g_assert_cmpint(mount("none", folder, "tmpfs", 0, NULL), ==, 0);
}

/* As on a host whose /home and /var/tmp are links; in mounts that nobody else sees. */
static void
machine_below_links(void)
{
    KhLaunchSpec launch = example();
    g_autoptr(GVariant) p = NULL;

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        g_test_skip("no mount namespace");
        return;
    }
    mount_on("/srv");
    mount_on("/var");
    mount_on("/home");
    g_assert_cmpint(g_mkdir_with_parents("/srv/tmp/one", 0700), ==, 0);
    g_assert_cmpint(symlink("/srv/tmp", "/var/tmp"), ==, 0);
    g_assert_cmpint(symlink("/home", "/srv/people"), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents("/home/k/two", 0700), ==, 0);
    launch.state_folder = "/srv/tmp/one";
    launch.runtime_folder = "/srv/people/k/two";
    p = g_variant_ref_sink(kh_unit_properties_of_machine(KH_UNIT_MANAGER_SYSTEM, "/shim", &launch));
    assert_property(p, "PrivateTmp", "false");
    assert_property(p, "ProtectHome", "'read-only'");
}

static void
confidential_machine(void)
{
    KhLaunchSpec launch = example();
    g_autoptr(GVariant) p = NULL;
    g_autofree char *command = NULL;

    launch.kvm = TRUE;
    launch.firmware = "/var/lib/k/ovmf.fd";
    p = g_variant_ref_sink(kh_unit_properties_of_machine(KH_UNIT_MANAGER_SYSTEM, "/shim", &launch));
    command = text_of(p, "ExecStart");
    assert_property(p, "DeviceAllow", "[('/dev/kvm', 'rw'), ('/dev/sev', 'rw')]");
    g_assert_nonnull(strstr(command, "'--firmware', '/var/lib/k/ovmf.fd', '--qemu'"));
}

static void
tools(void)
{
    const char *const format[] = {"--format",    "--state-dir", "/var/lib/k/i", "--", "mkfs",
                                  "--probe-kvm", NULL};
    const char *const probe[] = {"--probe-kvm", NULL};
    const char *const sev[] = {"--probe-sev", NULL};
    g_autoptr(GVariant) f =
        g_variant_ref_sink(kh_unit_properties_of_tool(KH_UNIT_MANAGER_SYSTEM, "/shim", format));
    g_autoptr(GVariant) p =
        g_variant_ref_sink(kh_unit_properties_of_tool(KH_UNIT_MANAGER_SYSTEM, "/shim", probe));
    g_autoptr(GVariant) s =
        g_variant_ref_sink(kh_unit_properties_of_tool(KH_UNIT_MANAGER_SYSTEM, "/shim", sev));

    assert_property(f, "Type", "'oneshot'");
    assert_property(f, "SyslogIdentifier", "'katana-hypervisor-shim'");
    assert_property(f, "ReadWritePaths", "['/var/lib/k/i']");
    assert_property(f, "PrivateDevices", "true");
    assert_property(p, "ReadWritePaths", "@as []");
    assert_property(p, "DeviceAllow", "[('/dev/kvm', 'rw')]");
    assert_property(s, "DeviceAllow", "[('/dev/kvm', 'rw'), ('/dev/sev', 'rw')]");
    assert_property(s, "PrivateDevices", "false");
}

static void
users_own(void)
{
    /* What a user's systemd cannot do, so that the unit would not start (216, 218, 226). */
    static const char *const walls[] = {"CapabilityBoundingSet",
                                        "PrivateIPC",
                                        "ProtectSystem",
                                        "ProtectHome",
                                        "PrivateTmp",
                                        "PrivateDevices",
                                        "DevicePolicy",
                                        "ReadWritePaths",
                                        "ProtectProc",
                                        "ProcSubset",
                                        "ProtectClock",
                                        NULL};
    KhLaunchSpec launch = example();
    g_autoptr(GVariant) p = NULL;

    launch.uid = -1;
    p = g_variant_ref_sink(kh_unit_properties_of_machine(KH_UNIT_MANAGER_USER, "/shim", &launch));
    for (guint i = 0; walls[i] != NULL; i++)
        assert_property(p, walls[i], NULL);
    assert_property(p, "Slice", "'app-katana.slice'");
    assert_property(p, "KillMode", "'mixed'");
    assert_property(p, "TimeoutStopUSec", "uint64 45000000");
    assert_property(p, "MemoryMax", "uint64 4294967296");
    assert_property(p, "NoNewPrivileges", "true");
    assert_property(p, "RestrictNamespaces", "uint64 0");
}

static void
quota(void)
{
    g_autoptr(GVariant) some = g_variant_ref_sink(kh_unit_properties_of_quota(50));
    g_autoptr(GVariant) none = g_variant_ref_sink(kh_unit_properties_of_quota(0));

    assert_property(some, "CPUQuotaPerSecUSec", "uint64 500000");
    assert_property(none, "CPUQuotaPerSecUSec", "uint64 18446744073709551615");
}

static void
unit_path(void)
{
    g_autofree char *path = kh_unit_path("katana-vm-0a_.service");
    g_autofree char *digit = kh_unit_path("0a");
    g_autofree char *bytes = kh_unit_path("\xc3\xb6/");

    g_assert_cmpstr(path, ==, "/org/freedesktop/systemd1/unit/katana_2dvm_2d0a_5f_2eservice");
    g_assert_cmpstr(digit, ==, "/org/freedesktop/systemd1/unit/_30a");
    g_assert_cmpstr(bytes, ==, "/org/freedesktop/systemd1/unit/_c3_b6_2f");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unit-properties/machine", machine);
    g_test_add_func("/unit-properties/dollars", dollars);
    g_test_add_func("/unit-properties/machine-with-more", machine_with_more);
    g_test_add_func("/unit-properties/group-of-the-device", group_of_the_device);
    g_test_add_func("/unit-properties/machine-below-links", machine_below_links);
    g_test_add_func("/unit-properties/confidential", confidential_machine);
    g_test_add_func("/unit-properties/tools", tools);
    g_test_add_func("/unit-properties/users-own", users_own);
    g_test_add_func("/unit-properties/quota", quota);
    g_test_add_func("/unit-properties/path", unit_path);
    return g_test_run();
}
