/* SPDX-License-Identifier: MIT */
/*
 * Copies of the state database, beside it and as closed as it is (they hold arguments): once a
 * day "state.db.copy", of which the last is kept as "state.db.copy.1"; and one before a
 * migration, by schema.c. Each is written under another name and takes its place when it is
 * whole, so that neither a full disk nor a damaged database costs an older one. Owned by the
 * daemon.
 */
#pragma once

#include <gio/gio.h>
#include <sqlite3.h>

#include "database-file.h"

G_BEGIN_DECLS

#define KH_TYPE_COPIES (kh_copies_get_type())
G_DECLARE_FINAL_TYPE(KhCopies, kh_copies, KH, COPIES, GObject)

/* Of the database at @path. Transfer full. */
KhCopies *kh_copies_new(const char *path);

/*
 * Makes a copy now and every hour if the last is a day old, in a thread. What fails is logged,
 * and tried again.
 */
void kh_copies_start(KhCopies *self);

/* Whether one was due and is being written. */
gboolean kh_copies_is_writing(KhCopies *self);

/*
 * Copies @db to @path, in place of an older one there: whole, 0600, and known to the disk; or
 * not at all, as where there is no room (KH_ERROR_RESOURCE_UNAVAILABLE).
 */
gboolean kh_copies_write(sqlite3 *db, const char *path, GError **error);

G_END_DECLS
