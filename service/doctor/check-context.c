/* SPDX-License-Identifier: MIT */
/* Where the checks look; see check-context.h. */
#include "check-context.h"

#include "auto-fd.h"
#include "tee/bytes.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define TEXT_MAX (1024 * 1024)
#define GROUP_MAX 16384
#define CPUID_MEMORY 0x8000001f

KhCpuidMemory
kh_cpuid_memory(void)
{
    KhCpuidMemory leaf = {FALSE};

#if defined(__x86_64__)
    leaf.known =
        __get_cpuid_count(CPUID_MEMORY, 0, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx) != 0;
#endif
    return leaf;
}

KhCheckContext *
kh_check_context_new(void)
{
    KhCheckContext *self = g_new0(KhCheckContext, 1);
    const char *path = g_getenv("PATH");

    self->sys = g_strdup("/sys");
    self->proc = g_strdup("/proc");
    self->dev = g_strdup("/dev");
    self->os_release = g_strdup("/etc/os-release");
    /* mkfs.ext4 lies in sbin, which a session has not always in its PATH. */
    self->path = g_strconcat(path == NULL ? "/usr/bin:/bin" : path, ":/usr/sbin:/sbin", NULL);
    self->cpuid = kh_cpuid_memory();
    self->vm_uid = -1;
    self->vm_gid = -1;
    self->used_ports = g_hash_table_new(NULL, NULL);
    return self;
}

void
kh_check_context_free(KhCheckContext *self)
{
    g_free(self->sys);
    g_free(self->proc);
    g_free(self->dev);
    g_free(self->os_release);
    g_free(self->path);
    g_free(self->unreachable);
    g_free(self->unreachable_remedy);
    g_free(self->qemu);
    g_free(self->boot_components);
    g_free(self->state_folder);
    g_free(self->settings_file);
    g_free(self->read_only);
    g_free(self->launcher);
    g_strfreev(self->unknown_folders);
    g_strfreev(self->unknown_machines);
    g_strfreev(self->missing_folders);
    g_strfreev(self->kept_folders);
    g_hash_table_unref(self->used_ports);
    g_free(self);
}

gboolean
kh_check_context_has_system_units(const KhCheckContext *self)
{
    return g_str_equal(self->launcher, "systemd") && !self->session;
}

gint64
kh_check_context_find_kvm_group(void)
{
    g_autofree char *buffer = g_malloc(GROUP_MAX);
    struct group entry, *found = NULL;

    if (getgrnam_r("kvm", &entry, buffer, GROUP_MAX, &found) != 0 || found == NULL)
        return -1;
    return entry.gr_gid;
}

void
kh_check_context_load(KhCheckContext *self)
{
    g_autofree char *text = kh_check_context_read(self->os_release, "");

    self->distribution = text == NULL ? KH_DISTRIBUTION_OTHER : kh_distribution_parse(text);
}

char *
kh_check_context_read(const char *root, const char *path)
{
    g_autofree char *name = *path == '\0' ? g_strdup(root) : g_build_filename(root, path, NULL);
    g_autofree char *text = NULL;
    g_auto(KhFd) fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;

    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return NULL;
    /* Those of /proc and /sys say nothing of their size. */
    text = g_malloc0(TEXT_MAX + 1);
    if (kh_bytes_read_fd(fd, (guint8 *)text, TEXT_MAX) < 0)
        return NULL;
    return g_strdup(g_strstrip(text));
}

char *
kh_check_context_find_program(const KhCheckContext *self, const char *name)
{
    g_auto(GStrv) folders = g_strsplit(self->path, ":", 64);

    if (strchr(name, '/') != NULL)
        return g_file_test(name, G_FILE_TEST_IS_EXECUTABLE) ? g_strdup(name) : NULL;
    for (guint i = 0; folders[i] != NULL; i++) {
        g_autofree char *file = g_build_filename(folders[i], name, NULL);

        if (*folders[i] != '\0' && g_file_test(file, G_FILE_TEST_IS_EXECUTABLE) &&
            !g_file_test(file, G_FILE_TEST_IS_DIR))
            return g_steal_pointer(&file);
    }
    return NULL;
}
