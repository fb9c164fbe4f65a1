/* SPDX-License-Identifier: MIT */
/* The doctor's checks, on trees that stand for hosts: SNP, plain AMD, Intel, a container. */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor/boot-parts.h"
#include "doctor/boot-start.h"
#include "doctor/doctor.h"
#include "doctor/kvm.h"
#include "doctor/memory.h"
#include "doctor/processor.h"
#include "doctor/qemu-probe.h"
#include "doctor/service-place.h"
#include "doctor/snp.h"
#include "doctor/verdict.h"
#include "error.h"
#include "firmware-tail.h"
#include "confidential/snp-host.h"

#define GENOA                                                                                      \
    "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"                 \
    "model name\t: AMD EPYC 9354\nmicrocode\t: 0xa101148\nflags\t\t: svm sev_snp\n"
#define RYZEN                                                                                      \
    "vendor_id\t: AuthenticAMD\ncpu family\t: 23\nmodel\t\t: 113\n"                                \
    "model name\t: AMD Ryzen 7\nmicrocode\t: 0x8701021\n"
#define INTEL                                                                                      \
    "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n"                                  \
    "model name\t: Intel Xeon\nmicrocode\t: 0x1\n"
#define PARAMETERS "sys/module/kvm_amd/parameters/"

typedef struct {
    char *folder;
    KhCheckContext *context;
    KhFindings *findings;
} Host;

static void
put(Host *host, const char *path, const char *text)
{
    g_autofree char *file = g_build_filename(host->folder, path, NULL);
    g_autofree char *parent = g_path_get_dirname(file);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
    g_assert_true(g_file_set_contents(file, text, -1, NULL));
}

static char *
at(Host *host, const char *path)
{
    return g_build_filename(host->folder, path, NULL);
}

static void
replace(char **place, char *value)
{
    g_free(*place);
    *place = value;
}

static void
set_up(Host *host, gconstpointer data)
{
    host->folder = g_dir_make_tmp("kh-doctor-XXXXXX", NULL);
    host->findings = kh_findings_new();
    host->context = kh_check_context_new();
    replace(&host->context->sys, at(host, "sys"));
    replace(&host->context->proc, at(host, "proc"));
    replace(&host->context->dev, at(host, "dev"));
    replace(&host->context->os_release, at(host, "os-release"));
    replace(&host->context->path, at(host, "bin"));
    host->context->cpuid = (KhCpuidMemory){FALSE, 0, 0, 0, 0};
    host->context->qemu = at(host, "bin/qemu");
    host->context->boot_components = at(host, "boot");
    host->context->state_folder = g_strdup(host->folder);
    host->context->settings_file = g_strdup("/etc/a.conf");
    host->context->launcher = g_strdup("direct");
    host->context->vm_uid = 1879113728;
    host->context->vm_gid = 12345;
    host->context->ports = (KhPortRange){39990, 39999};
}

static void
remove_tree(const char *path)
{
    g_autoptr(GDir) folder =
        g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_assert_cmpint(g_remove(path), ==, 0);
}

static void
tear_down(Host *host, gconstpointer data)
{
    kh_check_context_free(host->context);
    g_ptr_array_unref(host->findings);
    remove_tree(host->folder);
    g_free(host->folder);
}

static void
assert_finding(Host *host, const char *check, KhFindingStatus status, const char *found,
               const char *remedy)
{
    const KhFinding *finding = kh_findings_get(host->findings, check);

    g_test_message("%s: %s / %s", check, finding == NULL ? "none" : finding->found,
                   finding == NULL ? "" : finding->remedy);
    g_assert_nonnull(finding);
    g_assert_cmpint(finding->status, ==, status);
    g_assert_nonnull(strstr(finding->found, found));
    g_assert_nonnull(strstr(finding->remedy, remedy));
    g_assert_true((*finding->remedy == '\0') == (status == KH_FINDING_OK));
}

static void
check_all_but_qemu(Host *host)
{
    KhKvmFacts kvm;

    kh_check_context_load(host->context);
    kh_processor_check(host->context, host->findings);
    kh_kvm_probe(host->context, &kvm);
    kh_kvm_judge(host->context, &kvm, host->findings);
    kh_snp_check(host->context, host->findings);
    kh_memory_check(host->context, host->findings);
}

static void
make_snp(Host *host)
{
    g_autofree char *device = at(host, "dev/sev");

    put(host, "proc/cpuinfo", GENOA);
    put(host, PARAMETERS "sev_snp", "Y\n");
    put(host, PARAMETERS "sev_es", "1\n");
    put(host, "dev/sev", "");
    g_assert_cmpint(chmod(device, 0666), ==, 0);
    put(host, "sys/fs/cgroup/misc.capacity", "sev 410\nsev_es 99\n");
    put(host, "sys/fs/cgroup/misc.current", "sev 0\nsev_es 3\n");
    put(host, "sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put(host, "sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    put(host, "proc/meminfo", "MemTotal: 8 kB\nMemAvailable:   67108864 kB\n");
    put(host, "proc/self/limits", "Max locked memory     8388608    unlimited  bytes\n");
    host->context->cpuid = (KhCpuidMemory){TRUE, 0x1f, 51 | 1 << 6, 509, 100};
}

static void
test_snp_host(Host *host, gconstpointer data)
{
    KhKvmFacts kvm = {0, "", 1u << 4};

    make_snp(host);
    check_all_but_qemu(host);
    assert_finding(host, "processor", KH_FINDING_OK, "Genoa", "");
    assert_finding(host, "microcode", KH_FINDING_OK, "0xa101148", "");
    assert_finding(host, "snp-cbit", KH_FINDING_OK, "bit 51", "");
    assert_finding(host, "snp-kernel", KH_FINDING_OK, "sev_snp=Y", "");
    assert_finding(host, "snp-sev-es", KH_FINDING_OK, "sev_es=1", "");
    assert_finding(host, "snp-device", KH_FINDING_OK, "0666", "");
    assert_finding(host, "snp-asids", KH_FINDING_OK, "99 ASIDs", "");
    assert_finding(host, "memory", KH_FINDING_OK, "64 GiB", "");
    assert_finding(host, "memory-lock", KH_FINDING_OK, "8388608", "");
    assert_finding(host, "huge-pages", KH_FINDING_OK, "madvise", "");
    assert_finding(host, "clock", KH_FINDING_OK, "tsc", "");
    g_ptr_array_set_size(host->findings, 0);
    host->context->kvm_usable = TRUE;
    kh_kvm_judge(host->context, &kvm, host->findings);
    assert_finding(host, "kvm", KH_FINDING_OK, "/dev/kvm works", "");
    assert_finding(host, "snp-kvm", KH_FINDING_OK, "SNP", "");
}

/* A file that stands for /dev/sev is no device: the firmware cannot be asked. */
static void
test_snp_device(Host *host, gconstpointer data)
{
    static const struct {
        mode_t mode;
        gboolean group;
        KhFindingStatus status;
    } rows[] = {{0666, FALSE, KH_FINDING_OK},   {0660, FALSE, KH_FINDING_FAIL},
                {0660, TRUE, KH_FINDING_OK},    {0640, TRUE, KH_FINDING_FAIL},
                {0606, TRUE, KH_FINDING_FAIL},  {0600, FALSE, KH_FINDING_FAIL},
                {0664, FALSE, KH_FINDING_FAIL}, {0602, FALSE, KH_FINDING_FAIL}};
    g_autofree char *device = at(host, "dev/sev");
    struct stat info;

    make_snp(host);
    g_assert_cmpint(stat(device, &info), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        gboolean fails = rows[i].status == KH_FINDING_FAIL;

        g_assert_cmpint(chmod(device, rows[i].mode), ==, 0);
        host->context->vm_gid = rows[i].group ? info.st_gid : (gint64)info.st_gid + 1;
        g_ptr_array_set_size(host->findings, 0);
        kh_snp_check(host->context, host->findings);
        assert_finding(host, "snp-device", rows[i].status, fails ? "owner" : "can be opened",
                       fails ? "udevadm" : "");
        assert_finding(host, "snp-firmware-state", KH_FINDING_WARN, "cannot be asked", "snphost");
    }
}

static void
test_snp_hidden(Host *host, gconstpointer data)
{
    KhKvmFacts kvm = {ENOENT, "opened", 0};

    put(host, "sys/class/misc/sev/dev", "10:124\n");
    replace(&host->context->launcher, g_strdup("systemd"));
    host->context->kvm_usable = TRUE;
    kh_snp_check(host->context, host->findings);
    kh_kvm_judge(host->context, &kvm, host->findings);
    assert_finding(host, "snp-device", KH_FINDING_FAIL, "could not open /dev/sev",
                   "restart the service");
    assert_finding(host, "kvm", KH_FINDING_OK, "can open", "");
    assert_finding(host, "snp-kvm", KH_FINDING_WARN, "sandbox", "snp-kernel");
    g_ptr_array_set_size(host->findings, 0);
    host->context->sev_opens = TRUE;
    kh_snp_check(host->context, host->findings);
    assert_finding(host, "snp-device", KH_FINDING_OK, "the machines' user can open", "");
}

static void
test_snp_off(Host *host, gconstpointer data)
{
    make_snp(host);
    put(host, "os-release", "ID=debian\n");
    put(host, PARAMETERS "sev_snp", "N\n");
    put(host, "sys/fs/cgroup/misc.current", "sev_es 99\n");
    check_all_but_qemu(host);
    assert_finding(host, "snp-kernel", KH_FINDING_FAIL, "sev_snp=N", "update-initramfs -u");
    assert_finding(host, "snp-asids", KH_FINDING_FAIL, "all 99", "stop");
    /* Without the kernel's count the processor's: those below the first for SEV alone. */
    g_ptr_array_set_size(host->findings, 0);
    put(host, "sys/fs/cgroup/misc.capacity", "");
    put(host, "sys/fs/cgroup/misc.current", "");
    kh_snp_check(host->context, host->findings);
    assert_finding(host, "snp-asids", KH_FINDING_OK, "99 ASIDs", "");
    host->context->cpuid.edx = 1;
    g_ptr_array_set_size(host->findings, 0);
    kh_snp_check(host->context, host->findings);
    assert_finding(host, "snp-asids", KH_FINDING_FAIL, "no ASIDs", "BIOS");
}

static void
test_plain_amd(Host *host, gconstpointer data)
{
    put(host, "proc/cpuinfo", RYZEN);
    put(host, "dev/kvm", "");
    host->context->cpuid = (KhCpuidMemory){TRUE, 0x3, 47, 16, 0};
    check_all_but_qemu(host);
    assert_finding(host, "processor", KH_FINDING_WARN, "family 23", "EPYC");
    assert_finding(host, "snp-cbit", KH_FINDING_FAIL, "does not have", "BIOS");
    assert_finding(host, "snp-kernel", KH_FINDING_FAIL, "not loaded", "sev_snp=1");
    assert_finding(host, "snp-device", KH_FINDING_FAIL, "no /dev/sev", "modprobe");
    assert_finding(host, "snp-asids", KH_FINDING_FAIL, "no ASIDs", "BIOS");
    assert_finding(host, "kvm", KH_FINDING_WARN, "asked for its version", "modprobe");
}

/* What create --tee says is the first of the doctor's refusals, and its remedy. */
static void
test_judged(Host *host, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    make_snp(host);
    kh_snp_check_kernel(host->context, host->findings);
    g_assert_true(kh_snp_host_judge(host->findings, &error));
    g_assert_no_error(error);
    put(host, "sys/module/kvm_amd/parameters/sev_snp", "N\n");
    g_ptr_array_set_size(host->findings, 0);
    kh_snp_check_kernel(host->context, host->findings);
    g_assert_false(kh_snp_host_judge(host->findings, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED);
    g_assert_nonnull(strstr(error->message, "kvm_amd has sev_snp=N; with Linux 6.11"));
}

static void
test_intel(Host *host, gconstpointer data)
{
    KhKvmFacts kvm = {0, "", 1};

    put(host, "proc/cpuinfo", INTEL);
    check_all_but_qemu(host);
    assert_finding(host, "processor", KH_FINDING_WARN, "GenuineIntel", "EPYC");
    assert_finding(host, "snp-cbit", KH_FINDING_FAIL, "no CPUID leaf", "BIOS");
    g_ptr_array_set_size(host->findings, 0);
    host->context->kvm_usable = TRUE;
    kh_kvm_judge(host->context, &kvm, host->findings);
    assert_finding(host, "kvm", KH_FINDING_OK, "/dev/kvm works", "");
    assert_finding(host, "snp-kvm", KH_FINDING_FAIL, "cannot make SNP machines", "6.11");
}

/* Of two causes the one that was found. */
static void
test_kvm_unusable(Host *host, gconstpointer data)
{
    KhKvmFacts kvm = {0, "", 1};

    put(host, "proc/cpuinfo", "flags\t\t: fpu sse2\n");
    kh_kvm_judge(host->context, &kvm, host->findings);
    assert_finding(host, "kvm", KH_FINDING_WARN, "neither vmx nor svm", "BIOS");
    g_ptr_array_set_size(host->findings, 0);
    put(host, "proc/cpuinfo", "flags\t\t: fpu svm sse2\n");
    kh_kvm_judge(host->context, &kvm, host->findings);
    assert_finding(host, "kvm", KH_FINDING_WARN, "user could not open /dev/kvm", "group kvm");
}

/* Next to nothing is there, and what is there is no file. */
static void
test_container(Host *host, gconstpointer data)
{
    g_autofree char *folder = at(host, "proc/cpuinfo");

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    check_all_but_qemu(host);
    assert_finding(host, "processor", KH_FINDING_WARN, "without a name", "EPYC");
    assert_finding(host, "microcode", KH_FINDING_WARN, "does not tell the revision", "container");
    assert_finding(host, "kvm", KH_FINDING_WARN, "cannot be opened", "BIOS");
    assert_finding(host, "memory", KH_FINDING_WARN, "does not say how much", "memory");
    assert_finding(host, "memory-lock", KH_FINDING_WARN, "cannot be read", "ulimit");
    assert_finding(host, "huge-pages", KH_FINDING_WARN, "not known", "madvise");
    assert_finding(host, "clock", KH_FINDING_WARN, "unknown", "tsc");
}

static void
test_memory_limits(Host *host, gconstpointer data)
{
    put(host, "proc/self/limits", "Max locked memory     65536    65536  bytes\n");
    put(host, "proc/1/limits", "Max locked memory     unlimited    unlimited  bytes\n");
    put(host, "sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    kh_memory_check(host->context, host->findings);
    assert_finding(host, "memory-lock", KH_FINDING_WARN, "65536", "LimitMEMLOCK");
    assert_finding(host, "huge-pages", KH_FINDING_WARN, "never", "madvise");
    g_ptr_array_set_size(host->findings, 0);
    replace(&host->context->launcher, g_strdup("systemd"));
    kh_memory_check(host->context, host->findings);
    assert_finding(host, "memory-lock", KH_FINDING_OK, "unlimited", "");
}

static void
test_distributions(void)
{
    static const struct {
        const char *os_release, *install;
        KhDistribution distribution;
    } rows[] = {
        {"NAME=x\nID=debian\n", "apt install qemu-system-x86", KH_DISTRIBUTION_DEBIAN},
        {"ID=ubuntu\nID_LIKE=debian", "apt install qemu-system-x86", KH_DISTRIBUTION_DEBIAN},
        {"ID=\"rhel\"\nID_LIKE=\"fedora\"", "dnf install qemu-kvm", KH_DISTRIBUTION_FEDORA},
        {"ID_LIKE=\"rhel centos fedora\"\nID='ol'", "dnf install", KH_DISTRIBUTION_FEDORA},
        {"ID=manjaro\nID_LIKE=arch\n", "pacman -S qemu-system-x86", KH_DISTRIBUTION_ARCH},
        {"ID=nixos\n", "package manager: QEMU", KH_DISTRIBUTION_OTHER},
        {"VERSION_ID=debian\nXID=debian\n", "package manager", KH_DISTRIBUTION_OTHER},
        {"", "package manager", KH_DISTRIBUTION_OTHER},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        KhDistribution found = kh_distribution_parse(rows[i].os_release);
        g_autofree char *install = kh_distribution_install(found, KH_PACKAGE_QEMU);

        g_assert_cmpint(found, ==, rows[i].distribution);
        g_assert_nonnull(strstr(install, rows[i].install));
    }
}

static void
test_qemu_words(Host *host, gconstpointer data)
{
    static const struct {
        const char *version;
        KhFindingStatus status;
        const char *remedy;
    } rows[] = {
        {"QEMU emulator version 10.0.2 (Debian)\nx", KH_FINDING_OK, ""},
        {"QEMU emulator version 9.1.0", KH_FINDING_OK, ""},
        {"QEMU emulator version 9.0.50", KH_FINDING_WARN, "9.1"},
        {"QEMU emulator version 7.2.0", KH_FINDING_WARN, "backports"},
        {"QEMU emulator version 7.1.0", KH_FINDING_FAIL, "7.2"},
        {"hello", KH_FINDING_FAIL, "apt install"},
        {"version 99999999999999999999.1", KH_FINDING_FAIL, "apt install"},
    };

    host->context->distribution = KH_DISTRIBUTION_DEBIAN;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        KhQemuFacts facts = {(char *)rows[i].version, (char *)"sev-guest sev-snp-guests",
                             (char *)"types:\nsocket\nuser\n", NULL};

        g_ptr_array_set_size(host->findings, 0);
        kh_qemu_judge(host->context, &facts, host->findings);
        assert_finding(host, "qemu", rows[i].status, "", rows[i].remedy);
        assert_finding(host, "qemu-user-network", KH_FINDING_OK, "user", "");
        assert_finding(host, "snp-qemu", KH_FINDING_FAIL, "lacks", "apt install");
    }
}

static void
assert_verdicts(Host *host, KhFindingStatus plain, const char *plain_found, KhFindingStatus snp,
                const char *snp_found)
{
    kh_verdict_add(host->findings);
    assert_finding(host, KH_VERDICT_PLAIN, plain, plain_found,
                   plain == KH_FINDING_OK ? "" : "above");
    assert_finding(host, KH_VERDICT_SNP, snp, snp_found, snp == KH_FINDING_OK ? "" : "above");
    g_assert_cmpstr(((KhFinding *)host->findings->pdata[host->findings->len - 1])->check, ==,
                    KH_VERDICT_SNP);
    g_ptr_array_set_size(host->findings, 0);
}

/* What fails for confidential machines alone keeps no plain one from running. */
static void
test_verdicts(Host *host, gconstpointer data)
{
    KhFindings *f = host->findings;

    kh_findings_add(f, "kvm", KH_FINDING_OK, "works");
    kh_findings_add(f, "clock", KH_FINDING_WARN, "hpet");
    assert_verdicts(host, KH_FINDING_OK, "yes", KH_FINDING_OK, "yes");
    kh_findings_add(f, "kvm", KH_FINDING_WARN, "no /dev/kvm");
    kh_findings_add(f, "snp-cbit", KH_FINDING_FAIL, "no SNP");
    kh_findings_add(f, "snp-kvm", KH_FINDING_FAIL, "no type");
    kh_verdict_add(f);
    assert_finding(host, KH_VERDICT_SNP, KH_FINDING_FAIL, "no: no SNP", "snp-cbit, snp-kvm");
    g_ptr_array_set_size(f, f->len - 2);
    assert_verdicts(host, KH_FINDING_WARN, "slow, machines are emulated: no /dev/kvm",
                    KH_FINDING_FAIL, "no: no SNP");
    kh_findings_add(f, "qemu", KH_FINDING_FAIL, "no QEMU");
    assert_verdicts(host, KH_FINDING_FAIL, "no: no QEMU", KH_FINDING_FAIL, "no: no QEMU");
}

/* Of all words of systemd's for a unit's file, those that mean something for the next boot. */
static void
test_boot_start(Host *host, gconstpointer data)
{
    static const struct {
        const char *state;
        KhUnitFile parsed;
    } rows[] = {
        {"enabled", KH_UNIT_FILE_ENABLED},         {"enabled-runtime", KH_UNIT_FILE_DISABLED},
        {"disabled", KH_UNIT_FILE_DISABLED},       {"linked", KH_UNIT_FILE_DISABLED},
        {"linked-runtime", KH_UNIT_FILE_DISABLED}, {"masked", KH_UNIT_FILE_MASKED},
        {"masked-runtime", KH_UNIT_FILE_MASKED},   {"static", KH_UNIT_FILE_UNKNOWN},
        {"generated", KH_UNIT_FILE_UNKNOWN},       {"", KH_UNIT_FILE_UNKNOWN},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        g_assert_cmpint(kh_unit_file_parse(rows[i].state), ==, rows[i].parsed);
    kh_boot_start_judge(host->context, KH_UNIT_FILE_UNKNOWN, host->findings);
    g_assert_cmpuint(host->findings->len, ==, 0);
    kh_boot_start_judge(host->context, KH_UNIT_FILE_ENABLED, host->findings);
    assert_finding(host, "start-at-boot", KH_FINDING_OK, "is enabled", "");
    g_ptr_array_set_size(host->findings, 0);
    kh_boot_start_judge(host->context, KH_UNIT_FILE_MASKED, host->findings);
    assert_finding(host, "start-at-boot", KH_FINDING_WARN, "is masked", "systemctl unmask");
    g_ptr_array_set_size(host->findings, 0);
    host->context->session = TRUE;
    kh_boot_start_judge(host->context, KH_UNIT_FILE_DISABLED, host->findings);
    assert_finding(host, "start-at-boot", KH_FINDING_WARN, "is not enabled",
                   "systemctl --user enable");
}

/* QEMU 7.2 of Debian 12 is enough with KVM; without it guests panic, and doctor was content. */
static void
test_qemu_emulation(Host *host, gconstpointer data)
{
    static const struct {
        KhFindingStatus kvm;
        const char *version;
        KhFindingStatus status;
        const char *remedy;
    } rows[] = {
        {KH_FINDING_OK, "QEMU emulator version 7.2.22", KH_FINDING_WARN, "9.1"},
        {KH_FINDING_WARN, "QEMU emulator version 7.2.22", KH_FINDING_FAIL, "without KVM"},
        {KH_FINDING_WARN, "QEMU emulator version 8.2.0", KH_FINDING_WARN, "9.1"},
        {KH_FINDING_WARN, "QEMU emulator version 7.1.0", KH_FINDING_FAIL, "7.2"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        KhQemuFacts facts = {(char *)rows[i].version, NULL, NULL, NULL};

        g_ptr_array_set_size(host->findings, 0);
        kh_findings_add(host->findings, "kvm", rows[i].kvm, "x");
        kh_qemu_judge(host->context, &facts, host->findings);
        assert_finding(host, "qemu", rows[i].status, "", rows[i].remedy);
    }
}

/* Enabled for a user whose systemd comes with a login only. */
static void
test_no_linger(void)
{
    char *found, *remedy;

    g_assert_false(kh_unit_file_judge(KH_UNIT_FILE_ENABLED, TRUE, FALSE, &found, &remedy));
    g_assert_nonnull(strstr(found, "first login"));
    g_assert_nonnull(strstr(remedy, "loginctl enable-linger "));
    g_free(found);
    g_free(remedy);
    g_assert_true(kh_unit_file_judge(KH_UNIT_FILE_ENABLED, TRUE, TRUE, &found, &remedy));
    g_assert_true(kh_unit_file_judge(KH_UNIT_FILE_ENABLED, FALSE, FALSE, &found, &remedy));
    g_assert_true(kh_unit_file_judge(KH_UNIT_FILE_UNKNOWN, TRUE, FALSE, &found, &remedy));
}

static void
on_done(GObject *source, GAsyncResult *result, gpointer data)
{
    *(GAsyncResult **)data = g_object_ref(result);
}

static KhQemuFacts *
probe(Host *host, const char *script, guint timeout_ms)
{
    g_autoptr(GAsyncResult) result = NULL;
    g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", script);

    put(host, "bin/qemu", text);
    g_assert_cmpint(chmod(host->context->qemu, 0755), ==, 0);
    kh_qemu_probe_async(host->context->qemu, timeout_ms, on_done, &result);
    while (result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return kh_qemu_probe_finish(result);
}

static void
test_qemu_answers(Host *host, gconstpointer data)
{
    g_autoptr(KhQemuFacts) good =
        probe(host,
              "case $1 in --version) echo QEMU emulator version 9.2.0;; -object) echo ' '$1 $2 "
              "sev-snp-guest;; *) echo user;; esac",
              20000);
    g_autoptr(KhQemuFacts) bad = probe(host, "echo some >&2; echo no >&2; exit 3", 20000);
    g_autoptr(KhQemuFacts) no_jit = probe(host,
                                          "case $* in *-netdev*) echo falling back; echo qemu: "
                                          "cannot allocate JIT; exit 1;; esac",
                                          20000);
    g_autoptr(KhQemuFacts) silent = probe(host, "exit 3", 20000);
    g_autoptr(KhQemuFacts) slow = probe(host, "exec sleep 600", 300);
    g_autoptr(KhQemuFacts) quiet = probe(host, "exec >/dev/null 2>&1; exec sleep 600", 300);
    g_autoptr(KhQemuFacts) loud = probe(host, "exec yes", 60000);

    g_assert_null(good->failure);
    kh_qemu_judge(host->context, good, host->findings);
    assert_finding(host, "qemu", KH_FINDING_OK, "9.2.0", "");
    assert_finding(host, "snp-qemu", KH_FINDING_OK, "sev-snp-guest", "");
    g_assert_nonnull(strstr(bad->failure, "code 3: no"));
    g_assert_nonnull(strstr(no_jit->failure, "-netdev help: Child process exited with code 1: "
                                             "qemu: cannot allocate JIT"));
    g_assert_true(g_str_has_suffix(silent->failure, "code 3"));
    g_assert_nonnull(strstr(slow->failure, "no answer in time"));
    g_assert_nonnull(strstr(quiet->failure, "no answer in time"));
    g_assert_nonnull(strstr(loud->failure, "too long"));
    g_ptr_array_set_size(host->findings, 0);
    kh_qemu_judge(host->context, loud, host->findings);
    assert_finding(host, "qemu", KH_FINDING_FAIL, "too long", "7.2");
    assert_finding(host, "snp-qemu", KH_FINDING_FAIL, "did not say", "9.1");
}

static void
look_at_parts(Host *host)
{
    g_ptr_array_set_size(host->findings, 0);
    kh_boot_parts_check(host->context, host->findings);
}

static void
test_boot_firmware(Host *host, gconstpointer data)
{
    for (TailKind kind = TAIL_AMDSEV; kind <= TAIL_GENERIC; kind++) {
        g_autofree guint8 *tail = tail_new(kind);
        g_autofree char *file = at(host, "boot/ovmf.fd");

        put(host, "boot/ovmf.fd", "");
        g_assert_true(g_file_set_contents(file, (const char *)tail, TAIL_SIZE, NULL));
        look_at_parts(host);
        if (kind == TAIL_AMDSEV)
            assert_finding(host, "snp-boot-firmware", KH_FINDING_OK, "measures kernel", "");
        else
            assert_finding(host, "snp-boot-firmware", KH_FINDING_FAIL, "ovmf.fd", "AmdSevX64");
    }
}

static void
test_boot_parts(Host *host, gconstpointer data)
{
    g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, "kernel", -1);
    g_autofree char *good = g_strdup_printf("KERNEL_SHA256=%s\n", digest);

    look_at_parts(host);
    assert_finding(host, "boot-components", KH_FINDING_FAIL, "vmlinuz", "build.sh");
    assert_finding(host, "snp-boot-firmware", KH_FINDING_FAIL, "ovmf.fd", "--no-ovmf");
    put(host, "boot/vmlinuz", "kernel");
    put(host, "boot/initrd.img", "initrd");
    look_at_parts(host);
    assert_finding(host, "boot-components", KH_FINDING_WARN, "no build-info.txt", "build.sh");
    put(host, "boot/build-info.txt", good);
    look_at_parts(host);
    assert_finding(host, "boot-components", KH_FINDING_OK, "build-info.txt", "");
    put(host, "boot/ovmf.fd", "");
    look_at_parts(host);
    assert_finding(host, "boot-components", KH_FINDING_FAIL, "empty", "build.sh");
    put(host, "boot/ovmf.fd", "no firmware");
    put(host, "boot/vmlinuz", "another");
    look_at_parts(host);
    assert_finding(host, "boot-components", KH_FINDING_FAIL, "vmlinuz does not match", "build.sh");
    assert_finding(host, "snp-boot-firmware", KH_FINDING_FAIL, "ovmf.fd", "build.sh");
}

static void
test_place(Host *host, gconstpointer data)
{
    static const char *const tools[] = {"cpio", "xz", "zstd", "ar", "tar", "sha256sum"};
    g_autofree char *mkfs = at(host, "bin/mkfs.ext4");

    put(host, "os-release", "ID=arch\n");
    kh_check_context_load(host->context);
    for (guint port = 39990; port <= 39999; port++)
        g_hash_table_add(host->context->used_ports, GUINT_TO_POINTER(port));
    put(host, "bin/mkfs.ext4", "");
    kh_service_place_check(host->context, host->findings);
    assert_finding(host, "e2fsprogs", KH_FINDING_FAIL, "no mkfs.ext4", "pacman -S e2fsprogs");
    assert_finding(host, "build-tools", KH_FINDING_WARN, "because there is no cpio",
                   "pacman -S cpio");
    assert_finding(host, "limits", KH_FINDING_WARN, "not held", "cgroup");
    assert_finding(host, "launcher", KH_FINDING_OK, "direct", "");
    assert_finding(host, "ports", KH_FINDING_FAIL, "0 of the ports", "port-range in /etc/a.conf");
    g_assert_cmpint(chmod(mkfs, 0755), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *path = g_build_filename("bin", tools[i], NULL);
        g_autofree char *file = at(host, path);

        put(host, path, "");
        g_assert_cmpint(chmod(file, 0755), ==, 0);
    }
    host->context->holds_memory = host->context->holds_processor = TRUE;
    replace(&host->context->state_folder, at(host, "absent"));
    g_hash_table_remove(host->context->used_ports, GUINT_TO_POINTER(39995));
    g_ptr_array_set_size(host->findings, 0);
    kh_service_place_check(host->context, host->findings);
    assert_finding(host, "e2fsprogs", KH_FINDING_OK, "mkfs.ext4", "");
    assert_finding(host, "build-tools", KH_FINDING_OK, "can be built", "");
    assert_finding(host, "limits", KH_FINDING_OK, "holds", "");
    assert_finding(host, "disk", KH_FINDING_FAIL, "absent", "mount");
    assert_finding(host, "ports", KH_FINDING_WARN, "1 of the ports", "port-range");
}

/* A listener's port is not left; one that is merely looked at is everybody's still. */
static void
test_ports(Host *host, gconstpointer data)
{
    g_autoptr(GSocketListener) listener = g_socket_listener_new();
    guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);

    g_assert_cmpuint(port, >, 0);
    host->context->ports = (KhPortRange){port, port};
    kh_service_place_check(host->context, host->findings);
    assert_finding(host, "ports", KH_FINDING_FAIL, "0 of the ports", "port-range in /etc/a.conf");
    g_socket_listener_close(listener);
    g_ptr_array_set_size(host->findings, 0);
    kh_service_place_check(host->context, host->findings);
    assert_finding(host, "ports", KH_FINDING_WARN, "1 of the ports", "port-range");
}

/* All who ask at once get one round's findings; QEMU has counted how often it was asked. */
static void
test_one_round(Host *host, gconstpointer data)
{
    g_autoptr(KhDoctor) doctor = kh_doctor_new();
    GAsyncResult *results[3] = {NULL, NULL, NULL};
    g_autofree char *script =
        g_strdup_printf("#!/bin/sh\necho x >>%s/asked\necho version 9.2.0\n", host->folder);
    KhCheckContext *own = g_steal_pointer(&host->context);
    g_autoptr(GPtrArray) first = NULL;
    g_autoptr(GPtrArray) second = NULL;
    g_autoptr(GPtrArray) third = NULL;
    g_autofree char *asked = NULL;

    put(host, "bin/qemu", script);
    g_assert_cmpint(chmod(own->qemu, 0755), ==, 0);
    g_assert_false(kh_doctor_join_async(doctor, on_done, &results[2]));
    kh_doctor_check_async(doctor, own, NULL, on_done, &results[0]);
    kh_doctor_check_async(doctor, kh_check_context_new(), NULL, on_done, &results[1]);
    g_assert_true(kh_doctor_join_async(doctor, on_done, &results[2]));
    while (results[0] == NULL || results[1] == NULL || results[2] == NULL)
        g_main_context_iteration(NULL, TRUE);
    first = kh_doctor_check_finish(doctor, results[0]);
    second = kh_doctor_check_finish(doctor, results[1]);
    third = kh_doctor_check_finish(doctor, results[2]);
    for (guint i = 0; i < G_N_ELEMENTS(results); i++)
        g_object_unref(results[i]);
    asked = kh_check_context_read(host->folder, "asked");
    g_assert_cmpuint(first->len, >, 20);
    g_assert_true(first == second && second == third);
    g_assert_cmpstr(asked, ==, "x\nx\nx");
    host->context = kh_check_context_new();
}

#define ADD(name, function) g_test_add("/doctor/" name, Host, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("snp-host", test_snp_host);
    ADD("snp-device", test_snp_device);
    ADD("snp-hidden", test_snp_hidden);
    ADD("snp-off", test_snp_off);
    ADD("judged", test_judged);
    ADD("plain-amd", test_plain_amd);
    ADD("intel", test_intel);
    ADD("kvm-unusable", test_kvm_unusable);
    ADD("container", test_container);
    ADD("memory-limits", test_memory_limits);
    g_test_add_func("/doctor/distributions", test_distributions);
    ADD("qemu-words", test_qemu_words);
    ADD("qemu-emulation", test_qemu_emulation);
    ADD("qemu-answers", test_qemu_answers);
    ADD("verdicts", test_verdicts);
    ADD("boot-start", test_boot_start);
    g_test_add_func("/doctor/no-linger", test_no_linger);
    ADD("boot-firmware", test_boot_firmware);
    ADD("boot-parts", test_boot_parts);
    ADD("place", test_place);
    ADD("ports", test_ports);
    ADD("one-round", test_one_round);
    return g_test_run();
}
