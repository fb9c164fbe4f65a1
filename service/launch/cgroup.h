/* SPDX-License-Identifier: MIT */
/*
 * Control groups (cgroup v2) of machines that are the service's own children: a group
 * katana-vm-<id> each, below that of the service, where the service may make some. Below
 * systemd that is where it has delegated the group (Delegate=), else where the files can be
 * written. Processes live in the leaves only (the kernel's rule), so that the service moves
 * itself into one. Used by the direct launcher.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KhCgroups KhCgroups;

/*
 * Takes the service's group. Groups of machines that live since an earlier service get
 * their limits again. KH_ERROR_NOT_SUPPORTED with the reason where it is not ours, or does
 * not offer cpu, memory and pids.
 */
KhCgroups *kh_cgroups_open(GError **error);

void kh_cgroups_free(KhCgroups *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhCgroups, kh_cgroups_free)

/*
 * Makes the group of machine @id; @cpu_quota in percent of one processor, 0 for none. A
 * process that writes "0" to the descriptor (close-on-exec) is in it. -1 on an error:
 * KH_ERROR_BUSY where processes of an earlier run are in it, else KH_ERROR_LAUNCH_FAILED.
 */
int kh_cgroups_create(KhCgroups *self, const char *id, guint64 memory_max, guint cpu_quota,
                      GError **error);

/* Changes the limit of a group; one that is not there is no error. */
gboolean kh_cgroups_set_cpu_quota(KhCgroups *self, const char *id, guint cpu_quota, GError **error);

/* Whether the kernel has killed a process of the group for want of memory. */
gboolean kh_cgroups_had_oom_kill(KhCgroups *self, const char *id);

/* Removes the group; FALSE where a process is in it. One that is not there is no error. */
gboolean kh_cgroups_remove(KhCgroups *self, const char *id);

/*
 * Makes room for a new service in the group: without this the kernel would let no process
 * into it while it has groups with limits below. Called in a process of its own after the
 * service's end (ExecStopPost=, whose processes systemd puts into a group ".control"
 * below). Until kh_cgroups_open() machines are held to no limits; what memory they have by
 * then is not counted later. Nothing is done where systemd itself had put the service into
 * a leaf (DelegateSubgroup=service, systemd 254), which needs none of this.
 */
void kh_cgroups_yield(void);

/*
 * The folder of the process's group by the texts of /proc/self/mountinfo and
 * /proc/self/cgroup; NULL where there is no cgroup v2. Transfer full.
 */
char *kh_cgroup_path(const char *mountinfo, const char *cgroup);

G_END_DECLS
