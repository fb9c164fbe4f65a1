/* SPDX-License-Identifier: MIT */
/*
 * Room that is kept beside the state database for when its disk is full: a file of 1 MiB, or
 * of what there is room for, that is given up so that what frees space, or has been decided,
 * can be written. Owned by the store.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_RESERVE_SUFFIX ".reserve"
#define KH_RESERVE_BYTES (1024 * 1024)

typedef struct _KhReserve KhReserve;

/* That of the database at @path; nothing is done yet. */
KhReserve *kh_reserve_new(const char *path);
void kh_reserve_free(KhReserve *reserve);

/*
 * Makes it, or makes it whole again: of as much as there is room for, and the rest another time.
 * A file that would free nothing is replaced.
 */
void kh_reserve_keep(KhReserve *reserve);

/* Frees its room. FALSE: there was none. */
gboolean kh_reserve_give_up(KhReserve *reserve);

/* Gives it up where less than SQLite needs to begin with is free beside it. */
void kh_reserve_make_room(KhReserve *reserve);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhReserve, kh_reserve_free)

G_END_DECLS
