/* SPDX-License-Identifier: MIT */
/* From words to a launch; see launch-options.h. */
#include "launch-options.h"

#include "cpu-types.h"
#include "error.h"
#include "katana-repo.h"
#include "kernel-cmdline.h"
#include "sizes.h"

/* Of an instance that nobody has configured. */
#define DEFAULT_VCPUS 4
#define DEFAULT_TYPE "EPYC-v4"
#define DEFAULT_FEATURES 0x1

void
kh_launch_options_clear(KhLaunchOptions *self)
{
    char **const all[] = {
        &self->ovmf,  &self->kernel,    &self->initrd,   &self->cmdline, &self->katana_repo,
        &self->vcpus, &self->vcpu_type, &self->vcpu_sig, &self->vmm,     &self->guest_features};

    for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
        g_clear_pointer(all[i], g_free);
}

GOptionEntry *
kh_launch_options_entries(KhLaunchOptions *self)
{
    /* A filename is any bytes, a string must be text of the locale. */
    const GOptionEntry entries[] = {
        {"ovmf", 0, 0, G_OPTION_ARG_FILENAME, &self->ovmf, "The firmware", "FILE"},
        {"kernel", 0, 0, G_OPTION_ARG_FILENAME, &self->kernel, "The kernel (default: none)",
         "FILE"},
        {"initrd", 0, 0, G_OPTION_ARG_FILENAME, &self->initrd, "Its initrd (default: none)",
         "FILE"},
        {"cmdline", 0, 0, G_OPTION_ARG_FILENAME, &self->cmdline,
         "The kernel's command line (default: empty; " KH_KERNEL_CMDLINE " with --katana-repo)",
         "TEXT"},
        {"katana-repo", 0, 0, G_OPTION_ARG_FILENAME, &self->katana_repo,
         "Take the other files from this checkout of Katana", "DIR"},
        {"vcpus", 0, 0, G_OPTION_ARG_STRING, &self->vcpus, "Number of vCPUs, 1 to 512 (default: 4)",
         "N"},
        {"vcpu-type", 0, 0, G_OPTION_ARG_STRING, &self->vcpu_type,
         "The processor, as QEMU's -cpu names it (default: " DEFAULT_TYPE ")", "TYPE"},
        {"vcpu-sig", 0, 0, G_OPTION_ARG_STRING, &self->vcpu_sig,
         "The processor by its CPUID signature (function 1, EAX) instead", "NUMBER"},
        {"vmm", 0, 0, G_OPTION_ARG_STRING, &self->vmm,
         "Virtual machine monitor: qemu, ec2 or gce (default: qemu)", "VMM"},
        {"guest-features", 0, 0, G_OPTION_ARG_STRING, &self->guest_features,
         "SEV_FEATURES of the processors (default: 0x1)", "NUMBER"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };

    return g_memdup2(entries, sizeof entries);
}

/* What the options leave open comes from the checkout. */
static gboolean
complete(const KhLaunchOptions *self, KhCli *cli, KhKatanaBuild *build, GError **error)
{
    build->ovmf = g_strdup(self->ovmf);
    build->kernel = g_strdup(self->kernel);
    build->initrd = g_strdup(self->initrd);
    if (self->katana_repo == NULL)
        return build->ovmf != NULL ||
               kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "The firmware is missing; give --ovmf FILE or --katana-repo DIR");
    if (!kh_katana_repo_find(self->katana_repo, build, error))
        return FALSE;
    if (build->others != NULL)
        kh_cli_note(cli, "measured with %s; there are boot components in %s too", build->kernel,
                    build->others);
    return TRUE;
}

KhBootParts *
kh_launch_options_load(KhLaunchOptions *self, KhCli *cli, const char **cmdline, GError **error)
{
    g_auto(KhKatanaBuild) build = {NULL};

    if (!complete(self, cli, &build, error))
        return NULL;
    if (self->cmdline == NULL && self->katana_repo != NULL)
        self->cmdline = kh_kernel_cmdline(NULL);
    *cmdline = self->cmdline != NULL ? self->cmdline : "";
    if (build.kernel == NULL && (*cmdline)[0] != '\0') {
        kh_error_set(
            error, KH_ERROR_INVALID_ARGUMENT,
            "A command line is only measured together with a kernel; give --kernel FILE too");
        return NULL;
    }
    return kh_boot_parts_load(build.ovmf, build.kernel, build.initrd, error);
}

/* Decimal, or hexadecimal after 0x. */
static gboolean
parse_number(const char *text, const char *what, guint64 max, guint64 *number, GError **error)
{
    gboolean hex = g_ascii_strncasecmp(text, "0x", 2) == 0;
    g_autofree char *shown = NULL;

    if (g_ascii_string_to_unsigned(hex ? text + 2 : text, hex ? 16 : 10, 0, max, number, NULL))
        return TRUE;
    shown = g_strescape(text, NULL);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "%s is \"%s\"; give a number up to 0x%" G_GINT64_MODIFIER
                        "x, as 33 or 0x21",
                        what, shown, max);
}

static gboolean
parse_processor(const KhLaunchOptions *self, guint32 *signature, GError **error)
{
    const char *name = self->vcpu_type == NULL ? DEFAULT_TYPE : self->vcpu_type;
    const KhCpuType *type;
    guint64 number;

    if (self->vcpu_sig != NULL && self->vcpu_type != NULL)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "--vcpu-type and --vcpu-sig cannot be combined");
    if (self->vcpu_sig != NULL) {
        if (!parse_number(self->vcpu_sig, "--vcpu-sig", G_MAXUINT32, &number, error))
            return FALSE;
        *signature = (guint32)number;
        return TRUE;
    }
    type = kh_cpu_type_parse(name, error);
    if (type != NULL)
        *signature = type->signature;
    return type != NULL;
}

gboolean
kh_launch_options_shape(const KhLaunchOptions *self, KhLaunchShape *shape, GError **error)
{
    guint64 vcpus = DEFAULT_VCPUS;

    *shape = (KhLaunchShape){.guest_features = DEFAULT_FEATURES, .vmm = KH_VMM_QEMU};
    if (!parse_processor(self, &shape->vcpu_signature, error))
        return FALSE;
    if (self->vcpus != NULL &&
        !kh_number_parse(self->vcpus, "--vcpus", 1, KH_MEASURED_VCPUS_MAX, &vcpus, error))
        return FALSE;
    shape->vcpus = (guint)vcpus;
    if (self->guest_features != NULL && !parse_number(self->guest_features, "--guest-features",
                                                      G_MAXUINT64, &shape->guest_features, error))
        return FALSE;
    return self->vmm == NULL || kh_vmm_parse(self->vmm, &shape->vmm, error);
}
