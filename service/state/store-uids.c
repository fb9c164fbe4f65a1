/* SPDX-License-Identifier: MIT */
/*
 * The uids that machines run under: which was given out, and when it became free. Called by
 * store.c in its transactions, and by the pool.
 */
#include "store-private.h"

#include "error.h"
#include "sql.h"

gboolean
kh_store_claim_uid(KhStore *self, const KhRecord *record, GError **error)
{
    if (record->vm_uid < 0)
        return TRUE;
    if (!kh_sql_run(self->db, error,
                    "INSERT INTO uids VALUES(?,0,?) ON CONFLICT(uid) DO UPDATE SET "
                    "instance_id=excluded.instance_id WHERE uids.instance_id IS NULL",
                    "is", record->vm_uid, record->id))
        return FALSE;
    if (sqlite3_changes(self->db) == 1)
        return TRUE;
    return kh_error_set(error, KH_ERROR_RESOURCE_UNAVAILABLE,
                        "Uid %" G_GINT64_FORMAT " belongs to another instance", record->vm_uid);
}

gboolean
kh_store_release_uid(KhStore *self, const char *id, GError **error)
{
    return kh_sql_run(self->db, error,
                      "UPDATE uids SET released_usec=?, instance_id=NULL WHERE instance_id=?", "is",
                      g_get_real_time(), id);
}

KhUidUse
kh_store_get_uid_use(KhStore *self, guint32 uid)
{
    return (KhUidUse)kh_sql_count(self->db,
                                  "SELECT 1 + count(*) + count(instance_id) FROM uids WHERE uid=?",
                                  "i", (gint64)uid);
}

GArray *
kh_store_uids(KhStore *self, GError **error)
{
    g_autoptr(GArray) uids = g_array_new(FALSE, FALSE, sizeof(KhUidRow));
    g_autoptr(GError) failure = NULL;
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, error,
                       "SELECT uid, instance_id IS NOT NULL, released_usec FROM uids "
                       "ORDER BY released_usec, uid",
                       "");

    if (row == NULL)
        return NULL;
    while (kh_sql_next(self->db, row, &failure)) {
        KhUidRow uid = {(guint32)sqlite3_column_int64(row, 0), sqlite3_column_int(row, 1) != 0,
                        sqlite3_column_int64(row, 2)};

        g_array_append_val(uids, uid);
    }
    if (failure != NULL) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    return g_steal_pointer(&uids);
}
