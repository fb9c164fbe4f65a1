/* SPDX-License-Identifier: MIT */
/* Tests of QEMU's command line. */
#include "qemu/command-line.h"

#include "model/config-checks.h"

#include <glib/gstdio.h>
#include <stdio.h>
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

static char **
confidential_args(const char *qemu, gboolean simulated, const char *uuid)
{
    g_autoptr(KhConfig) config =
        config_of("{'tee': <true>, 'rpc-port': <uint16 5055>, 'memory-bytes': <uint64 536870912>}");
    const KhMachine machine = {.config = config,
                               .name = "demo",
                               .accelerator = "tcg",
                               .qemu = qemu,
                               .image_folder = "/images/abc",
                               .data_folder = "/state/id",
                               .simulated = simulated,
                               .c_bit = 51,
                               .luks_uuid = uuid};

    return qemu != NULL ? kh_command_line_build_portable(&machine)
                        : kh_command_line_build(&machine);
}

static void
confidential(void)
{
    g_auto(GStrv) args = confidential_args(NULL, FALSE, NULL);
    g_autofree char *line = g_strjoinv(" ", args);

    assert_has(line, "q35,vmport=off,confidential-guest-support=sev0,memory-backend=ram1");
    assert_has(line, "-object memory-backend-memfd,id=ram1,size=536870912B,share=true,"
                     "prealloc=false");
    assert_has(line, "-object sev-snp-guest,id=sev0,policy=0x30000,cbitpos=51,"
                     "reduced-phys-bits=1,kernel-hashes=on");
    assert_has(line, "-cpu EPYC-v4");
    assert_has(line, "-append console=ttyS0 -bios /proc/self/fd/12");
    assert_has(line, "romfile=,disable-legacy=on,iommu_platform=true");
    assert_has(line, "scsi-hd,drive=disk0");
}

/* A size that QEMU would round up, by itself or not at all: 4 GB, whole pages, a byte. */
static void
odd_memory(void)
{
    static const struct {
        guint64 asked, given;
    } cases[] = {
        {G_GUINT64_CONSTANT(4000000000), G_GUINT64_CONSTANT(4000006144)},
        {134217728 + 4096, 134217728 + 8192},
        {134217728 + 8192, 134217728 + 8192},
        {134217728 + 1, 134217728 + 8192},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf(
            "{'tee': <true>, 'memory-bytes': <uint64 %" G_GUINT64_FORMAT ">}", cases[i].asked);
        g_autofree char *machine =
            g_strdup_printf("-m size=%" G_GUINT64_FORMAT "B", cases[i].given);
        g_autofree char *backend =
            g_strdup_printf("id=ram1,size=%" G_GUINT64_FORMAT "B", cases[i].given);
        g_autofree char *line = line_of(text, FALSE, "kvm");

        assert_has(line, machine);
        assert_has(line, backend);
    }
}

static void
sealed(void)
{
    g_auto(GStrv) args = confidential_args(NULL, FALSE, "0d5c");

    g_assert_true(
        g_strv_contains((const char *const *)args, "console=ttyS0 KATANA_EXPECTED_LUKS_UUID=0d5c"));
}

/* The firmware ignores -kernel where nothing is measured. */
static void
simulated(void)
{
    g_auto(GStrv) args = confidential_args(NULL, TRUE, NULL);
    g_autofree char *line = g_strjoinv(" ", args);

    assert_has(line, "-machine q35,vmport=off -accel");
    assert_has(line, "-cpu max");
    g_assert_null(strstr(line, "sev"));
    g_assert_null(strstr(line, "-bios"));
    g_assert_null(strstr(line, "iommu"));
}

static char *
version_of(const char *qemu)
{
    const char *const command[] = {qemu, "--version", NULL};
    g_autofree char *text = NULL;

    g_spawn_sync(NULL, (char **)command, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &text, NULL,
                 NULL, NULL);
    return g_steal_pointer(&text);
}

/* Under TCG a right line stops where private memory is set up; a wrong property before it. */
static void
understood_by_qemu(void)
{
    g_autofree char *qemu = g_find_program_in_path("qemu-system-x86_64");
    g_autofree char *version = qemu == NULL ? NULL : version_of(qemu);
    g_autofree char *folder = NULL, *said = NULL;
    g_auto(GStrv) args = NULL;
    int major = 0;

    if (version == NULL || sscanf(version, "QEMU emulator version %d", &major) != 1 || major < 10) {
        g_test_skip("there is no QEMU 10");
        return;
    }
    folder = g_dir_make_tmp("kh-qemu-XXXXXX", NULL);
    args = confidential_args(qemu, FALSE, NULL);
    for (guint i = 0; args[i] != NULL; i++) /* files that are there */
        if (g_str_has_prefix(args[i], "/images/abc/")) {
            g_free(args[i]);
            args[i] = g_strdup("/dev/null");
        } else if (g_str_has_prefix(args[i], "name=opt/")) {
            g_free(args[i]);
            args[i] = g_strdup("name=opt/org.katana/args,string=x");
        } else if (g_str_has_prefix(args[i], "{\"driver\"")) {
            g_free(args[i]);
            args[i] = g_strdup("{\"driver\":\"null-co\",\"node-name\":\"disk0\"}");
        }
    g_assert_true(g_spawn_sync(folder, args, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               &said, NULL, NULL));
    g_strchomp(said);
    if (!g_str_has_suffix(said, ": cannot set up private guest memory for sev-snp-guest: KVM "
                                "required") ||
        strchr(said, '\n') != NULL)
        g_error("QEMU said: %s", said);
    for (guint i = 0; i < 3; i++) {
        static const char *const names[] = {"serial.log", "control.sock", "qmp.sock"};
        g_autofree char *path = g_build_filename(folder, names[i], NULL);

        g_unlink(path);
    }
    g_rmdir(folder);
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
    g_test_add_func("/command-line/confidential", confidential);
    g_test_add_func("/command-line/odd-memory", odd_memory);
    g_test_add_func("/command-line/sealed", sealed);
    g_test_add_func("/command-line/simulated", simulated);
    g_test_add_func("/command-line/understood-by-qemu", understood_by_qemu);
    return g_test_run();
}
