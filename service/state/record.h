/* SPDX-License-Identifier: MIT */
/*
 * What is kept of an instance across restarts: one row of the table "instances", with
 * its port and uid. Owned by the instance, written by the store.
 */
#pragma once

#include "instance/config.h"
#include "names.h"

G_BEGIN_DECLS

/* A process that can be told from a later one with the same id. */
typedef struct {
    gint64 pid;        /* 0 = none */
    gint64 start_time; /* clock ticks since boot, field 22 of /proc/PID/stat (proc(5)) */
} KhProcess;

typedef struct {
    char *id; /* 16 hex digits */
    char *name;
    KhConfig *config;
    char *image; /* SHA-256 of the boot components it is pinned to */
    guint32 owner_uid;
    gint64 vm_uid; /* the uid its QEMU runs as; -1: the service's own */

    KhState state;
    char *reason;        /* never NULL */
    char *error_name;    /* never NULL; "" when there is none */
    char *error_message; /* never NULL */
    gboolean formatted;  /* the data disk has its file system */

    gint64 created_usec; /* wall clock, microseconds since 1970; 0 = never */
    gint64 started_usec;
    gint64 ready_usec;
    gint64 boot_time_usec; /* by the monotonic clock */

    char *boot_id; /* of the host's boot that the processes belong to; "" when none run */
    KhProcess shim;
    KhProcess qemu;
} KhRecord;

/* An empty record in the state "created"; text fields are "". Transfer full. */
KhRecord *kh_record_new(void);

void kh_record_free(KhRecord *record);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhRecord, kh_record_free)

G_END_DECLS
