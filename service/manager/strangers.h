/* SPDX-License-Identifier: MIT */
/*
 * What lies in the service's own folders and agrees with no row of the database: folders and
 * living machines of instances that it does not know, as where the database was lost or
 * emptied, or a disk is not mounted. They are named, and nothing of them is touched. Looked
 * for by the manager; the doctor and the bus tell of them.
 *
 * A machine is known by the shim that holds its folder or its socket in this service's own
 * folders, never by the name of a process, which any user can start.
 */
#pragma once

#include "state/state-dir.h"

G_BEGIN_DECLS

typedef struct {
    GPtrArray *folders;  /* ids: in the state folder, of no row */
    GPtrArray *machines; /* ids: alive, of no row */
    GPtrArray *kept;     /* ids: what "delete --keep-data" has left; nothing is wrong with it */
    GPtrArray *deleted;  /* ids: marked as deleted, of a row or not */
    GPtrArray *missing;  /* ids: rows whose folder is not there */
    GHashTable *uids;    /* owners of the first two, GUINT_TO_POINTER */
    GHashTable *held;    /* ids of rows whose folder a shim holds: their machines live */
} KhStrangers;

/* Whether @name may be an instance's, among the names of a folder. */
gboolean kh_strangers_is_id(const char *name);

/* @ids: of all rows, with whether its folder must be there (GINT_TO_POINTER). Transfer full. */
KhStrangers *kh_strangers_find(KhStateDir *state_dir, GHashTable *ids);

void kh_strangers_free(KhStrangers *strangers);

/* Whether there is anything that the database should know and does not. */
gboolean kh_strangers_any(const KhStrangers *strangers);

/* A line of the journal for each. */
void kh_strangers_log(const KhStrangers *strangers, KhStateDir *state_dir);

/* The folders of @ids in the state folder, and in the runtime folder; transfer full. */
char **kh_strangers_state_paths(KhStateDir *state_dir, GPtrArray *ids);
char **kh_strangers_runtime_paths(KhStateDir *state_dir, GPtrArray *ids);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhStrangers, kh_strangers_free)

G_END_DECLS
