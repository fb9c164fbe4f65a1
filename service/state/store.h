/* SPDX-License-Identifier: MIT */
/*
 * The state database: instances, their ports and uids, in SQLite (WAL, foreign keys).
 * Opened by the daemon after the state folder is locked; written by the manager and by
 * each instance. Calls are short and synchronous.
 */
#pragma once

#include <glib-object.h>

#include "model/record.h"

G_BEGIN_DECLS

#define KH_TYPE_STORE (kh_store_get_type())
G_DECLARE_FINAL_TYPE(KhStore, kh_store, KH, STORE, GObject)

/*
 * Opens or creates the database at @path (mode 0600). One that is not ours, or from a
 * newer version, is refused unaltered; an older one is migrated after "@path.before-N"
 * was kept. On a file system that is read-only it is read into memory; every write is refused
 * (KH_ERROR_FAILED, with the file's name) until one finds that it is so no more, and opens it.
 * Transfer full.
 */
KhStore *kh_store_open(const char *path, GError **error);

/* Whether it was opened so, and no write has found otherwise. */
gboolean kh_store_is_read_only(KhStore *self);

/*
 * Every instance, oldest first: GPtrArray of KhRecord, transfer full. Of a row that
 * cannot be understood there is what is left, and "damage".
 */
GPtrArray *kh_store_load(KhStore *self, GError **error);

/*
 * Inserts name, row, port and uid (unless -1) in one transaction. The row is marked as being
 * made, until kh_store_finish_making().
 * Errors: KH_ERROR_ALREADY_EXISTS (name), PORT_UNAVAILABLE (port or uid), FAILED.
 */
gboolean kh_store_insert(KhStore *self, const KhRecord *record, GError **error);

/* What belongs to the row is there, too. */
gboolean kh_store_finish_making(KhStore *self, const char *id, GError **error);

/* Writes everything that may change after creation. */
gboolean kh_store_update(KhStore *self, const KhRecord *record, GError **error);

/*
 * The same, and its ports: those of config and pending, in one transaction.
 * KH_ERROR_PORT_UNAVAILABLE when another instance has one; then nothing is changed.
 */
gboolean kh_store_reconfigure(KhStore *self, const KhRecord *record, GError **error);

/*
 * Whether a lock of another program is waited for (200 ms, the default) or an error at once: for
 * what is tried again anyway, and by many.
 */
void kh_store_set_patient(KhStore *self, gboolean patient);

/* Whether there is a row @id, even one that could not be understood. */
gboolean kh_store_has_instance(KhStore *self, const char *id);

/*
 * Before the files of @image are removed: refused while anything refers to it, even a row that
 * could not be understood, or where the database does not answer.
 */
gboolean kh_store_forget_image(KhStore *self, const char *image, GError **error);

/* Removes the row and its port; its uid becomes free as of now. */
gboolean kh_store_remove(KhStore *self, const char *id, GError **error);

/*
 * What follows is answered from memory, which is as the database is after each change, whatever
 * has come of it. KH_ERROR_PORT_UNAVAILABLE, with the name of its instance, where one has @port.
 */
gboolean kh_store_check_port(KhStore *self, guint16 port, GError **error);

/* How many ports from @first to @last instances have. */
guint kh_store_count_ports(KhStore *self, guint16 first, guint16 last);

/* The lowest port from @first to @last that no instance has; 0 for none. */
guint16 kh_store_find_port(KhStore *self, guint16 first, guint16 last);

typedef struct {
    guint32 uid;
    gboolean in_use;
    gint64 released_usec; /* when it became free */
} KhUidRow;

typedef enum {
    KH_UID_USE_UNKNOWN, /* the database does not answer */
    KH_UID_USE_NEVER,
    KH_UID_USE_FREE, /* again */
    KH_UID_USE_HELD,
} KhUidUse;

KhUidUse kh_store_get_uid_use(KhStore *self, guint32 uid);

/* Every uid ever given out: GArray of KhUidRow by ascending release. Transfer full. */
GArray *kh_store_uids(KhStore *self, GError **error);

/* The value kept under @key; NULL when there is none. Transfer full. */
char *kh_store_get_setting(KhStore *self, const char *key);

gboolean kh_store_set_setting(KhStore *self, const char *key, const char *value, GError **error);

G_END_DECLS
