/* SPDX-License-Identifier: MIT */
/*
 * What every instance shares: the service's stores, its launcher and its settings. Put
 * together by the daemon, which outlives all instances; nobody else changes it.
 */
#pragma once

#include "image/image-store.h"
#include "job/jobs.h"
#include "model/config.h"
#include "launch/launcher.h"
#include "uid/uid-pool.h"
#include "port/registry.h"
#include "start-progress.h"
#include "log/folder-watcher.h"
#include "state/state-dir.h"
#include "state/store.h"

G_BEGIN_DECLS

typedef struct {
    KhStateDir *state_dir;
    KhStore *store;
    KhJobs *jobs;
    KhImageStore *images;
    KhLauncher *launcher;
    KhFolderWatcher *watcher;  /* of those who follow logs */
    KhUidPool *uids;           /* NULL when the service is not root */
    KhStartProgress *progress; /* NULL once the service is ready */
    gboolean ending;           /* the service stops what runs and starts nothing more */
    char *boot_id;             /* of this boot of the host (random(4)) */
    KhConfigLimits limits;
    gboolean session;          /* the service is on a session bus */
    const char *settings_file; /* where they are set, for errors */
    KhPortRange ports;
    const char *boot_components; /* where new images come from */
    const char *qemu;            /* the binary */
    const char *accelerator;     /* "kvm" or "tcg": what "auto" has come to */
    gboolean kvm_usable;
    gboolean sev_opens;    /* /dev/sev, for the machines' uid, when the service began */
    gint64 vm_uid;         /* one that machines run under; -1: the service's own */
    gint64 vm_gid;         /* the group kvm, which they have besides; -1: none */
    gboolean simulate_tee; /* confidential machines start as ordinary ones */
    guint max_instances;
    guint start_timeout; /* seconds */
    guint stop_timeout;  /* seconds, for the control channel's stop */
    guint64 log_size;    /* bytes per file */
    guint log_files;     /* files per log */
} KhHost;

G_END_DECLS
