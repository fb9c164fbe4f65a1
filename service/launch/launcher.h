/* SPDX-License-Identifier: MIT */
/*
 * How a machine's shim comes to life: the interface of the two launchers, and what they
 * share. Both start the same shim; a machine's processes are followed by pidfd under
 * either (vm.h). Chosen by the daemon, used by the instance.
 *
 * A launcher keeps nothing about a machine but what the system keeps for it (a transient
 * unit, a control group), so that a service that was killed finds it again by the id.
 */
#pragma once

#include "vm.h"

G_BEGIN_DECLS

/* What one start needs. Nothing here is secret: it is visible in the process list. */
typedef struct {
    const char *id;
    const char *name;
    const char *state_folder;   /* the instance's own */
    const char *runtime_folder; /* the instance's own */
    int instances_fd;           /* the folders that these are in; see KhMachineRef */
    int runtime_fd;
    gint64 uid;     /* -1: the service's own */
    gboolean kvm;   /* the device is needed */
    gint64 kvm_gid; /* then, the group that may open it; -1: none */
    const char *kernel;
    const char *initrd;
    const char *firmware; /* of a confidential machine, which needs /dev/sev; else NULL */
    const char *qemu;
    char **qemu_args;
    guint64 log_size;   /* bytes per file */
    guint log_files;    /* files per log */
    guint stop_timeout; /* seconds, for a stop without the service */
    guint64 memory_max; /* bytes that shim and QEMU may have together */
    guint cpu_quota;    /* percent of one processor, 0 = no limit */
} KhLaunchSpec;

/*
 * A machine by what is known of it: where to look for it, and what tells it from another
 * service's.
 */
typedef struct {
    const char *id;
    int instances_fd; /* the folder that holds the instance's state folder */
    int runtime_fd;   /* the folder that holds the instance's runtime folder */
    gint64 uid;       /* -1: the service's own */
    KhProcess shim;   /* as they were noted; zeros where they were not */
    KhProcess qemu;
} KhMachineRef;

/* The limits that the kernel can hold machines to. */
typedef enum {
    KH_LIMIT_NONE = 0,
    KH_LIMIT_MEMORY = 1 << 0,
    KH_LIMIT_CPU = 1 << 1,
    KH_LIMIT_ALL = KH_LIMIT_MEMORY | KH_LIMIT_CPU,
} KhLimitKinds;

#define KH_TYPE_LAUNCHER (kh_launcher_get_type())
G_DECLARE_INTERFACE(KhLauncher, kh_launcher, KH, LAUNCHER, GObject)

/* What ends later ends with a GTask of the launcher's: of a KhVm, or of a boolean. */
struct _KhLauncherInterface {
    GTypeInterface parent;
    const char *name;
    const char *group_suffix; /* of a machine's control group, after katana-vm-<id> */
    KhLimitKinds (*get_limits)(KhLauncher *self);
    void (*launch_async)(KhLauncher *self, const KhLaunchSpec *launch, GAsyncReadyCallback callback,
                         gpointer user_data);
    /* NULL: machines are not known but by what they have left. */
    void (*recover_async)(KhLauncher *self, const KhMachineRef *ref, GAsyncReadyCallback callback,
                          gpointer user_data);
    void (*release_async)(KhLauncher *self, const KhMachineRef *ref, GAsyncReadyCallback callback,
                          gpointer user_data);
    void (*set_cpu_quota)(KhLauncher *self, const char *id, guint percent);
    void (*run_tool_async)(KhLauncher *self, const char *const *args, GAsyncReadyCallback callback,
                           gpointer user_data);
};

/* "direct" or "systemd". */
const char *kh_launcher_get_name(KhLauncher *self);

/*
 * Whether living machines are found by their id at any time, so that
 * kh_launcher_recover_async() is asked rather than the pids of the database. With systemd
 * they are: their units tell, even where the database was not written in time.
 */
gboolean kh_launcher_knows_machines(KhLauncher *self);

/* What the kernel holds machines to that this launcher starts. */
KhLimitKinds kh_launcher_get_limits(KhLauncher *self);

/*
 * Whether the kernel holds the machine @id to its memory limit and to @cpu_quota, which is no
 * limit where it is 0. @pid is one of its processes, 0 for none: then of its next start. One
 * that the other launcher has started is not this one's to hold.
 */
gboolean kh_launcher_holds(KhLauncher *self, const char *id, guint32 pid, guint cpu_quota);

/*
 * Starts the machine; finishes with its processes when QEMU's exec has succeeded, transfer
 * full. Errors: KH_ERROR_LAUNCH_FAILED with the shim's sentence, KH_ERROR_TIMED_OUT,
 * KH_ERROR_NOT_FOUND when the machine lived and is dead already, and is to be released.
 * With an error nothing runs.
 */
void kh_launcher_launch_async(KhLauncher *self, const KhLaunchSpec *launch,
                              GAsyncReadyCallback callback, gpointer user_data);
KhVm *kh_launcher_launch_finish(KhLauncher *self, GAsyncResult *result, GError **error);

/*
 * Looks for a machine of an earlier service, by a launcher that knows its machines. Finishes with
 * its processes, transfer full, or with the errors of shim-finder.h. The descriptors in @ref must
 * stay open until then.
 */
void kh_launcher_recover_async(KhLauncher *self, const KhMachineRef *ref,
                               GAsyncReadyCallback callback, gpointer user_data);
KhVm *kh_launcher_recover_finish(KhLauncher *self, GAsyncResult *result, GError **error);

/*
 * Lets go of what the system keeps for the machine of @ref, whose processes are not there
 * or not found. Finishes when the system, too, calls it dead, for which it is told to end if
 * need be; however long that takes. What the system keeps for another service's machine of
 * that id is left alone and not waited for. TRUE when the kernel killed it for want of
 * memory. An unknown id is no error.
 */
void kh_launcher_release_async(KhLauncher *self, const KhMachineRef *ref,
                               GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_launcher_release_finish(KhLauncher *self, GAsyncResult *result);

/* Changes the limit of a living machine; failures are logged. 0 = no limit. */
void kh_launcher_set_cpu_quota(KhLauncher *self, const char *id, guint percent);

/*
 * Makes an ext4 file system on @file in @state_folder under @uid, without writing its
 * tables now: of 10 GiB, some 4 MB are allocated. KH_ERROR_RESOURCE_UNAVAILABLE for a full
 * disk, else KH_ERROR_LAUNCH_FAILED with the last line of mkfs.
 */
void kh_launcher_format_async(KhLauncher *self, const char *state_folder, const char *file,
                              gint64 uid, GAsyncReadyCallback callback, gpointer user_data);
gboolean kh_launcher_format_finish(KhLauncher *self, GAsyncResult *result, GError **error);

/*
 * Whether a machine's device, "kvm" or "sev", opens for @uid with the group @kvm_gid (-1: none),
 * where machines run. Blocks: for start-up only.
 */
gboolean kh_launcher_probe(KhLauncher *self, const char *device, gint64 uid, gint64 kvm_gid);

/*
 * The shim's arguments for @launch, without its own path; @ready_fd -1 for none. Transfer
 * full. For the launchers.
 */
char **kh_launcher_build_run_args(const KhLaunchSpec *launch, int ready_fd);

/*
 * Reads the line "ready SHIM QEMU" (shim-protocol.h) and follows both, if they are @uid's
 * (-1: the service's own) and SHIM is @shim (0: not known any more); an "error TEXT" line
 * becomes KH_ERROR_LAUNCH_FAILED. Transfer full. For the launchers.
 */
KhVm *kh_launcher_read_ready_line(const char *line, gint64 uid, gint64 shim, GError **error);

/* The error of a tool that has ended badly and said @output. For the launchers. */
GError *kh_launcher_tool_error(const char *output);

G_END_DECLS
