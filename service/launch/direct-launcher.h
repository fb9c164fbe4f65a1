/* SPDX-License-Identifier: MIT */
/*
 * Starts a machine's shim as a direct child of the service. The shim drops to the
 * machine's uid, starts QEMU and reports both pids over a pipe. Used by the instance;
 * also runs what else must run under the machine's uid.
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
    gint64 uid;                 /* -1: the service's own */
    gboolean kvm;               /* the group kvm is needed */
    const char *kernel;
    const char *initrd;
    const char *qemu;
    char **qemu_args;
    guint64 log_size;   /* bytes per file */
    guint log_files;    /* files per log */
    guint stop_timeout; /* seconds, for a stop without the service */
} KhLaunch;

#define KH_TYPE_DIRECT_LAUNCHER (kh_direct_launcher_get_type())
G_DECLARE_FINAL_TYPE(KhDirectLauncher, kh_direct_launcher, KH, DIRECT_LAUNCHER, GObject)

/* @shim is the path of katana-hypervisor-shim. */
KhDirectLauncher *kh_direct_launcher_new(const char *shim);

/*
 * Starts the machine; finishes with its processes when QEMU's exec has succeeded, transfer
 * full. Errors: KH_ERROR_LAUNCH_FAILED with the shim's sentence, KH_ERROR_TIMED_OUT.
 */
void kh_direct_launcher_launch_async(KhDirectLauncher *self, const KhLaunch *launch,
                                     GAsyncReadyCallback callback, gpointer user_data);
KhVm *kh_direct_launcher_launch_finish(KhDirectLauncher *self, GAsyncResult *result,
                                       GError **error);

/*
 * Makes an ext4 file system on @file in @state_folder under @uid, without writing its
 * tables now: of 10 GiB, some 4 MB are allocated. KH_ERROR_RESOURCE_UNAVAILABLE for a full
 * disk, else KH_ERROR_LAUNCH_FAILED with the last line of mkfs.
 */
void kh_direct_launcher_format_async(KhDirectLauncher *self, const char *state_folder,
                                     const char *file, gint64 uid, GAsyncReadyCallback callback,
                                     gpointer user_data);
gboolean kh_direct_launcher_format_finish(KhDirectLauncher *self, GAsyncResult *result,
                                          GError **error);

/* Whether /dev/kvm opens for @uid with the group kvm; synchronous, for start-up. */
gboolean kh_direct_launcher_probe_kvm(KhDirectLauncher *self, gint64 uid);

G_END_DECLS
