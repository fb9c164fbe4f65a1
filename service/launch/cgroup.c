/* SPDX-License-Identifier: MIT */
/* Control groups of machines; see cgroup.h and the kernel's cgroup-v2.rst. */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "auto-fd.h"
#include "error.h"

#define PREFIX "katana-vm-"
/* Where the service itself lives; systemd's DelegateSubgroup= would have the same name. */
#define LEAF "service"
#define CONTROL ".control"
#define CONTROLLERS_ON "+cpu +memory +pids"
#define CONTROLLERS_OFF "-cpu -memory -pids"
/* Of shim and QEMU: one per processor, up to 64 workers. */
#define PIDS_MAX "1024"
#define PERIOD_USEC 100000
/* Says that the service had to leave the group for the leaf by itself. */
#define MOVED_ATTRIBUTE "user.katana-hypervisor.moved"
/* The limits once more, for a later service (kh_cgroups_yield()). */
#define LIMITS_ATTRIBUTE "user.katana-hypervisor.limits"
#define TEXT_MAX 4096
#define FIRST_HIGH_FD 64

struct _KhCgroups {
    int fd; /* the folder that the machines' groups are in */
    char *path;
};

/* --- files ----------------------------------------------------------------------------- */

static gboolean
write_file(int folder, const char *name, const char *text)
{
    g_auto(KhFd) fd = openat(folder, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static char *
read_file(int folder, const char *name)
{
    g_auto(KhFd) fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    g_autofree char *text = g_malloc0(TEXT_MAX + 1);

    return fd < 0 || read(fd, text, TEXT_MAX) < 0 ? NULL : g_steal_pointer(&text);
}

static gboolean
has_words(const char *text, const char *const *words)
{
    g_auto(GStrv) found = g_strsplit_set(text != NULL ? text : "", " \n", -1);

    for (; *words != NULL; words++)
        if (!g_strv_contains((const char *const *)found, *words))
            return FALSE;
    return TRUE;
}

static int
open_group(KhCgroups *self, const char *id)
{
    g_autofree char *name = g_strconcat(PREFIX, id, NULL);

    return openat(self->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* --- the service's own group ------------------------------------------------------------ */

/* The part of the group's path below the mount's root; NULL where it is not below. */
static const char *
below(const char *group, const char *root)
{
    gsize length = g_str_equal(root, "/") ? 0 : strlen(root);

    if (strncmp(group, root, length) != 0 || (group[length] != '/' && group[length] != '\0'))
        return NULL;
    return g_str_equal(group + length, "/") ? "" : group + length;
}

static char *
path_of_mount(const char *line, const char *group)
{
    g_auto(GStrv) fields = g_strsplit(line, " ", -1);
    const char *type = strstr(line, " - ");
    g_autofree char *root = NULL, *place = NULL;
    const char *rest;

    if (type == NULL || !g_str_has_prefix(type, " - cgroup2 ") || g_strv_length(fields) < 5)
        return NULL;
    root = g_strcompress(fields[3]);
    place = g_strcompress(fields[4]);
    rest = below(group, root);
    return rest == NULL ? NULL : g_strconcat(place, rest, NULL);
}

char *
kh_cgroup_path(const char *mountinfo, const char *cgroup)
{
    g_auto(GStrv) mounts = g_strsplit(mountinfo, "\n", -1);
    g_auto(GStrv) groups = g_strsplit(cgroup, "\n", -1);
    const char *group = NULL;
    char *path = NULL;

    for (guint i = 0; groups[i] != NULL; i++)
        if (g_str_has_prefix(groups[i], "0::/"))
            group = groups[i] + strlen("0::");
    for (guint i = 0; group != NULL && path == NULL && mounts[i] != NULL; i++)
        path = path_of_mount(mounts[i], group);
    return path;
}

/* Of this process, without the last part where that is @leaf. */
static char *
own_path(const char *leaf)
{
    g_autofree char *mountinfo = NULL, *cgroup = NULL, *path = NULL, *name = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &mountinfo, NULL, NULL) ||
        !g_file_get_contents("/proc/self/cgroup", &cgroup, NULL, NULL))
        return NULL;
    path = kh_cgroup_path(mountinfo, cgroup);
    if (path == NULL)
        return NULL;
    name = g_path_get_basename(path);
    return g_str_equal(name, leaf) ? g_path_get_dirname(path) : g_steal_pointer(&path);
}

/* A group that systemd has not given away is systemd's, whatever its files' modes say. */
static gboolean
is_delegated(const char *path)
{
    static const char *const names[] = {"user.delegate", "trusted.delegate"};
    char value[2] = "";

    if (sd_booted() <= 0)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (getxattr(path, names[i], value, 1) == 1 && value[0] == '1')
            return TRUE;
    return FALSE;
}

static gboolean
move_to_leaf(int folder)
{
    g_autofree char *pid = g_strdup_printf("%d", getpid());

    if (mkdirat(folder, LEAF, 0755) < 0 && errno != EEXIST)
        return FALSE;
    if (!write_file(folder, LEAF "/cgroup.procs", pid))
        return FALSE;
    fsetxattr(folder, MOVED_ATTRIBUTE, "1", 1, 0);
    return TRUE;
}

static gboolean
enable_controllers(int folder)
{
    if (write_file(folder, "cgroup.subtree_control", CONTROLLERS_ON))
        return TRUE;
    return errno == EBUSY && move_to_leaf(folder) &&
           write_file(folder, "cgroup.subtree_control", CONTROLLERS_ON);
}

static gboolean
take_group(KhCgroups *self, GError **error)
{
    static const char *const wanted[] = {"cpu", "memory", "pids", NULL};
    g_autofree char *offered = NULL;

    self->fd = open(self->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (self->fd >= 0)
        offered = read_file(self->fd, "cgroup.controllers");
    if (offered == NULL)
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED, "the control group %s: %s", self->path,
                    g_strerror(errno));
    else if (!has_words(offered, wanted))
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "the control group %s does not offer cpu, memory and pids", self->path);
    else if (!is_delegated(self->path))
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "systemd has not delegated the control group %s; set Delegate=yes", self->path);
    else if (!enable_controllers(self->fd))
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "the control group %s cannot be divided: %s", self->path, g_strerror(errno));
    else
        return TRUE;
    return FALSE;
}

/* --- the machines' groups --------------------------------------------------------------- */

/* Applies "FILE VALUE\n…"; FALSE with errno where one is refused. */
static gboolean
apply_limits(int group, const char *limits)
{
    g_auto(GStrv) lines = g_strsplit(limits, "\n", -1);

    for (guint i = 0; lines[i] != NULL; i++) {
        char *value = strchr(lines[i], ' ');

        if (value == NULL)
            continue;
        *value = '\0';
        if (!write_file(group, lines[i], value + 1))
            return FALSE;
    }
    return TRUE;
}

/* Keeps them with the group, too; without that only a later service lacks them. */
static gboolean
set_limits(int group, const char *limits)
{
    if (!apply_limits(group, limits))
        return FALSE;
    if (fsetxattr(group, LIMITS_ATTRIBUTE, limits, strlen(limits), 0) < 0)
        g_info("The limits of a control group cannot be noted on it: %s", g_strerror(errno));
    return TRUE;
}

static char *
read_limits(int group)
{
    char limits[512];
    ssize_t n = fgetxattr(group, LIMITS_ATTRIBUTE, limits, sizeof limits);

    return n < 0 ? NULL : g_strndup(limits, (gsize)n);
}

static char *
cpu_max(guint percent)
{
    if (percent == 0)
        return g_strdup_printf("cpu.max max %d", PERIOD_USEC);
    return g_strdup_printf("cpu.max %u %d", percent * (PERIOD_USEC / 100), PERIOD_USEC);
}

static char *
build_limits(guint64 memory_max, guint cpu_quota)
{
    g_autofree char *cpu = cpu_max(cpu_quota);
    g_autofree char *memory =
        memory_max == 0 ? g_strdup("max") : g_strdup_printf("%" G_GUINT64_FORMAT, memory_max);

    return g_strdup_printf("memory.max %s\n%s\npids.max " PIDS_MAX "\n", memory, cpu);
}

/* Machines that have outlived a service have lost their limits; see kh_cgroups_yield(). */
static void
restore_limits(KhCgroups *self)
{
    g_autoptr(GDir) folder = g_dir_open(self->path, 0, NULL);
    const char *name;

    while (folder != NULL && (name = g_dir_read_name(folder)) != NULL) {
        g_autofree char *limits = NULL;
        g_auto(KhFd) group = -1;

        if (!g_str_has_prefix(name, PREFIX))
            continue;
        group = open_group(self, name + strlen(PREFIX));
        limits = group < 0 ? NULL : read_limits(group);
        if (limits != NULL && !apply_limits(group, limits))
            g_warning("The limits of %s/%s could not be set again: %s", self->path, name,
                      g_strerror(errno));
    }
}

KhCgroups *
kh_cgroups_open(GError **error)
{
    g_autoptr(KhCgroups) self = g_new0(KhCgroups, 1);

    self->fd = -1;
    self->path = own_path(LEAF);
    if (self->path == NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED, "there is no cgroup v2 here");
        return NULL;
    }
    if (!take_group(self, error))
        return NULL;
    restore_limits(self);
    return g_steal_pointer(&self);
}

void
kh_cgroups_free(KhCgroups *self)
{
    if (self->fd >= 0)
        close(self->fd);
    g_free(self->path);
    g_free(self);
}

static int
fail_creation(KhCgroups *self, const char *id, KhError code, GError **error)
{
    g_set_error(error, KH_ERROR, code, "The control group %s/" PREFIX "%s cannot be made: %s",
                self->path, id, g_strerror(errno));
    return -1;
}

/* Above the numbers that a new process is given descriptors under. */
static int
open_procs(int group)
{
    g_auto(KhFd) fd = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH_FD);
}

int
kh_cgroups_create(KhCgroups *self, const char *id, guint64 memory_max, guint cpu_quota,
                  GError **error)
{
    g_autofree char *name = g_strconcat(PREFIX, id, NULL);
    g_autofree char *limits = build_limits(memory_max, cpu_quota);
    g_auto(KhFd) group = -1;
    int procs = -1;

    /* A new one counts its out-of-memory kills from zero. */
    if (unlinkat(self->fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return fail_creation(self, id, KH_ERROR_BUSY, error);
    if (mkdirat(self->fd, name, 0755) < 0)
        return fail_creation(self, id, KH_ERROR_LAUNCH_FAILED, error);
    group = open_group(self, id);
    if (group >= 0 && set_limits(group, limits))
        procs = open_procs(group);
    if (procs < 0) {
        fail_creation(self, id, KH_ERROR_LAUNCH_FAILED, error);
        unlinkat(self->fd, name, AT_REMOVEDIR);
    }
    return procs;
}

/* The line of cpu.max among the limits that are kept is replaced. */
static gboolean
replace_quota(int group, guint cpu_quota)
{
    g_autofree char *kept = read_limits(group);
    g_auto(GStrv) lines = g_strsplit(kept != NULL ? kept : "cpu.max", "\n", -1);
    g_autofree char *limits = NULL;

    for (guint i = 0; lines[i] != NULL; i++)
        if (g_str_has_prefix(lines[i], "cpu.max")) {
            g_free(lines[i]);
            lines[i] = cpu_max(cpu_quota);
        }
    limits = g_strjoinv("\n", lines);
    return set_limits(group, limits);
}

gboolean
kh_cgroups_set_cpu_quota(KhCgroups *self, const char *id, guint cpu_quota, GError **error)
{
    g_auto(KhFd) group = open_group(self, id);

    return group < 0 || replace_quota(group, cpu_quota) ||
           kh_error_set(error, KH_ERROR_FAILED, "cpu.max of %s/" PREFIX "%s: %s", self->path, id,
                        g_strerror(errno));
}

gboolean
kh_cgroups_had_oom_kill(KhCgroups *self, const char *id)
{
    g_auto(KhFd) group = open_group(self, id);
    g_autofree char *events = group < 0 ? NULL : read_file(group, "memory.events");
    const char *line = events == NULL ? NULL : strstr(events, "\noom_kill ");

    return line != NULL && g_ascii_strtoull(line + strlen("\noom_kill "), NULL, 10) > 0;
}

gboolean
kh_cgroups_remove(KhCgroups *self, const char *id)
{
    g_autofree char *name = g_strconcat(PREFIX, id, NULL);

    return unlinkat(self->fd, name, AT_REMOVEDIR) == 0 || errno != EBUSY;
}

void
kh_cgroups_yield(void)
{
    g_autofree char *path = own_path(CONTROL);
    g_auto(KhFd) folder = path == NULL ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder >= 0 && fgetxattr(folder, MOVED_ATTRIBUTE, NULL, 0) > 0)
        write_file(folder, "cgroup.subtree_control", CONTROLLERS_OFF);
}
