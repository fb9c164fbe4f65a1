/* SPDX-License-Identifier: MIT */
/*
 * What is kept of an instance across restarts: one row of the table "instances", with
 * its port and uid. Owned by the instance, written by the store.
 */
#pragma once

#include "config.h"
#include "names.h"

G_BEGIN_DECLS

/* A process that can be told from a later one with the same id. */
typedef struct {
    gint64 pid;        /* 0 = none */
    gint64 start_time; /* clock ticks since boot, field 22 of /proc/PID/stat (proc(5)) */
} KhProcess;

typedef struct {
    char *id; /* a UUID; of older instances 16 hex digits */
    char *name;
    KhConfig *config;          /* what its machine runs with, or would */
    KhConfig *pending;         /* the next start's, where that may differ; else NULL */
    char *pending_secrets;     /* secret keys that were set for it, by blanks; never NULL */
    char *measurement;         /* expected of config's machine: hex digits; "" for none */
    char *pending_measurement; /* of pending's */
    gboolean simulated;        /* the confidential machine was started as an ordinary one */
    guint32 owner_uid;
    gint64 caller_uid; /* who asked last for what is under way; -1: nobody. Not kept */
    gint64 vm_uid;     /* the uid its QEMU runs as; -1: the service's own */

    char *damage; /* why its row could not be understood; NULL when it could */

    KhState state;
    char *reason;        /* never NULL */
    char *error_name;    /* never NULL; "" when there is none */
    char *error_message; /* never NULL */
    gboolean making;     /* its folder may not be there yet: what was cut off is taken back */
    gboolean formatted;  /* the data disk has its file system */
    gboolean keep_data;  /* a deletion that is under way spares data.raw */
    char *stop_result;   /* "graceful", "forced" or "": of the last stop */
    char *stopped_in;    /* boot of the host in which an operator stopped it; else "" */
    guint restart_count; /* automatic restarts since an operator's start */
    gint64 restart_usec; /* wall clock of an automatic restart that is due; 0 = none */

    gint64 created_usec;       /* wall clock, microseconds since 1970; 0 = never */
    gint64 state_changed_usec; /* of the last kh_record_set_state(); 0: not known */
    gint64 started_usec;
    gint64 ready_usec;
    gint64 boot_time_usec; /* by the monotonic clock */
    int exit_code;         /* Katana's since the last start; -1: none is known */

    char *boot_id; /* of the host's boot that the processes belong to; "" when none run */
    KhProcess shim;
    KhProcess qemu;
} KhRecord;

/* What was last configured: pending, where there is that, else config. Owned by @record. */
const KhConfig *kh_record_get_wanted(const KhRecord *record);

/*
 * The keys that the next start changes, sorted as the list of keys: those that differ, and the
 * secret ones that were set, which may be what they were. Transfer full.
 */
char **kh_record_list_pending(const KhRecord *record);

/* Another state is one since now. */
void kh_record_set_state(KhRecord *record, KhState state);

/* An empty record in the state "created"; text fields are "". Transfer full. */
KhRecord *kh_record_new(void);

/* It changes, and with it what its fields point to: for the main loop alone. */
KhRecord *kh_record_ref(KhRecord *record);
void kh_record_unref(KhRecord *record);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhRecord, kh_record_unref)

/* How a field is kept in a row. */
typedef enum {
    KH_COLUMN_NAME, /* a text that a record has from whoever makes it */
    KH_COLUMN_TEXT, /* never NULL */
    KH_COLUMN_INT64,
    KH_COLUMN_UINT,
    KH_COLUMN_INT, /* or a boolean */
    KH_COLUMN_STATE,
    KH_COLUMN_CONFIG, /* "" for none */
    KH_COLUMN_IMAGE,  /* of the configuration that has been read before it; NULL for none */
    KH_COLUMN_MARK,   /* a boolean that every new row has */
} KhColumnKind;

typedef struct {
    const char *name;
    KhColumnKind kind;
    gsize offset;  /* in KhRecord */
    gboolean once; /* no update writes it */
} KhColumn;

/* The one list of the columns of the table "instances", of which its statements are made. */
extern const KhColumn kh_record_columns[];
extern const guint kh_record_n_columns;

G_END_DECLS
