/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the store share: store.c, the connection and its transactions;
 * store-images.c, store-ports.c and store-uids.c, what instances hold. Nobody else includes it.
 */
#pragma once

#include <sqlite3.h>

#include "reserve.h"
#include "store.h"

G_BEGIN_DECLS

struct _KhStore {
    GObject parent_instance;
    char *path;
    sqlite3 *db;
    gboolean read_only; /* the database is in memory, as the file was */
    int index_fd;       /* of the log's index; see fill_index() */
    KhReserve *reserve;
    gint64 reserve_tried; /* monotonic: when it was last made again, or tried to */
    guint8 *taken;        /* a flag for each port, see store-ports.c */
    gboolean ports_known; /* whether these are as the table says */
};

/* Notes the ports of the instance @id as taken; or that they are not. */
void kh_store_note_ports(KhStore *self, const char *id, gboolean taken);

/* In a transaction: has @record hold the ports of both its configurations, and no other. */
gboolean kh_store_write_ports(KhStore *self, const KhRecord *record, GError **error);

/* In a transaction: its uid, if it has one. */
gboolean kh_store_claim_uid(KhStore *self, const KhRecord *record, GError **error);

/* In a transaction: the uid of the instance @id is free as of now. */
gboolean kh_store_release_uid(KhStore *self, const char *id, GError **error);

/* In a transaction, before the row: @record may refer to the images of both its configurations. */
gboolean kh_store_note_images(KhStore *self, const KhRecord *record, GError **error);

/* A transaction or a statement that can be done again. */
typedef gboolean (*KhStoreWrite)(KhStore *self, gconstpointer data, GError **error);

/*
 * What has been decided, or frees space, is written on a full disk, too: in the log's room
 * once that was moved to the database, then in the reserve's.
 */
gboolean kh_store_write_anyway(KhStore *self, KhStoreWrite write, gconstpointer data,
                               GError **error);

G_END_DECLS
