/* SPDX-License-Identifier: MIT */
/* Tests of QEMU's command line. */
#include "qemu/command-line.h"

#include <string.h>

static const KhConfigLimits limits = {G_MAXINT64, G_MAXINT64};

static KhConfig *
config_of(const char *text)
{
    g_autoptr(GVariant) dict = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL);

    return kh_config_new(dict, &limits, NULL);
}

static char *
line_of(const char *config_text, gboolean portable, const char *accelerator)
{
    g_autoptr(KhConfig) config = config_of(config_text);
    const KhMachine machine = {.config = config,
                               .name = "demo",
                               .accelerator = accelerator,
                               .qemu = "/usr/bin/qemu",
                               .image_folder = "/images, odd/abc",
                               .data_folder = "/state, odd/id"};
    g_auto(GStrv) args =
        portable ? kh_command_line_build_portable(&machine) : kh_command_line_build(&machine);

    return g_strjoinv(" ", args);
}

static void
assert_has(const char *line, const char *part)
{
    if (strstr(line, part) == NULL)
        g_error("no \"%s\" in: %s", part, line);
}

static void
closed_by_default(void)
{
    g_autofree char *line =
        line_of("{'rpc-port': <uint16 5055>, 'memory-bytes': <uint64 536870912>}", FALSE, "tcg");

    assert_has(line, "-nodefaults -no-user-config");
    assert_has(line, "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                     "resourcecontrol=deny");
    assert_has(line, "restrict=on,hostfwd=tcp:127.0.0.1:5055-:5050");
    assert_has(line, "-m size=536870912B");
    assert_has(line, "-accel tcg,tb-size=256,thread=multi -cpu max");
    assert_has(line, "-kernel /proc/self/fd/10 -initrd /proc/self/fd/11");
    assert_has(line, "file=args");
    assert_has(line, "\"filename\":\"data.raw\"");
    g_assert_null(strstr(line, "/state"));
}

static void
outbound_and_kvm(void)
{
    g_autofree char *line =
        line_of("{'outbound': <true>, 'rpc-address': <'0.0.0.0'>, 'rpc-port': <uint16 5055>}",
                FALSE, "kvm");

    assert_has(line, "restrict=off,hostfwd=tcp:0.0.0.0:5055-:5050");
    assert_has(line, "-accel kvm -cpu host");
}

/* The service may reach the loopback only. */
static void
exposed(void)
{
    g_autofree char *line =
        line_of("{'rpc-address': <'192.0.2.7'>, 'rpc-port': <uint16 5055>}", FALSE, "tcg");
    g_autofree char *all =
        line_of("{'rpc-address': <'0.0.0.0'>, 'rpc-port': <uint16 5055>}", FALSE, "tcg");

    assert_has(line, "hostfwd=tcp:192.0.2.7:5055-:5050,hostfwd=tcp:127.0.0.1:5055-:5050");
    g_assert_null(strstr(all, "127.0.0.1"));
}

/* Katana's arguments can hold private keys. */
static void
no_secret_in_it(void)
{
    g_autofree char *line = line_of("{'katana-args': <['--key=0xdead']>}", FALSE, "tcg");
    g_autofree char *portable = line_of("{'katana-args': <['--key=0xdead']>}", TRUE, "tcg");

    g_assert_null(strstr(line, "0xdead"));
    g_assert_null(strstr(portable, "0xdead"));
}

static void
portable(void)
{
    g_autofree char *line = line_of("{}", TRUE, "tcg");

    g_assert_true(g_str_has_prefix(line, "/usr/bin/qemu -name"));
    assert_has(line, "-kernel /images, odd/abc/vmlinuz");
    assert_has(line, "file=/state,, odd/id/args");
    assert_has(line, "\"filename\":\"/state, odd/id/data.raw\"");
    assert_has(line, "file,id=serial0,path=serial.log");
    g_assert_null(strstr(line, "fd="));
    g_assert_null(strstr(line, "/proc/self"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/command-line/closed", closed_by_default);
    g_test_add_func("/command-line/open", outbound_and_kvm);
    g_test_add_func("/command-line/exposed", exposed);
    g_test_add_func("/command-line/secrets", no_secret_in_it);
    g_test_add_func("/command-line/portable", portable);
    return g_test_run();
}
