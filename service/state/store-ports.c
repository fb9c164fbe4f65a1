/* SPDX-License-Identifier: MIT */
/*
 * The ports of instances: the rows that hold them, and which are free. Called by store.c in its
 * transactions, and by those who look for a port.
 */
#include "store-private.h"

#include <string.h>

#include "error.h"
#include "sql.h"

#define PORTS (G_MAXUINT16 + 1)

/*
 * To look for the lowest free port in the table takes longer the more are taken, so those are
 * noted, and forgotten before they are given up. What is noted is taken; of what is not the
 * table is asked.
 */
void
kh_store_note_ports(KhStore *self, const char *id, gboolean taken)
{
    g_autoptr(sqlite3_stmt) row =
        id == NULL
            ? kh_sql_prepare(self->db, NULL, "SELECT port FROM ports", "")
            : kh_sql_prepare(self->db, NULL, "SELECT port FROM ports WHERE instance_id=?", "s", id);
    int result = SQLITE_ERROR;

    while (row != NULL && (result = sqlite3_step(row)) == SQLITE_ROW) {
        gint64 port = sqlite3_column_int64(row, 0);

        if (port >= 0 && port < PORTS)
            self->taken[port] = taken ? TRUE : FALSE;
    }
    if (result != SQLITE_DONE)
        memset(self->taken, FALSE, PORTS);
}

/* Names and ports of instances are for everybody to read. */
static void
set_port_taken(KhStore *self, guint16 port, GError **error)
{
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(
        self->db, NULL,
        "SELECT i.name FROM instances i JOIN ports p ON p.instance_id = i.id WHERE p.port=?", "i",
        (gint64)port);
    gboolean known = row != NULL && sqlite3_step(row) == SQLITE_ROW;

    if (known)
        g_set_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
                    "Port %u belongs to the instance \"%s\"; choose another port", port,
                    (const char *)sqlite3_column_text(row, 0));
    else
        g_set_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
                    "Port %u belongs to another instance; choose another port", port);
}

static gboolean
claim_port(KhStore *self, const KhRecord *record, guint16 port, GError **error)
{
    if (!kh_sql_run(self->db, error,
                    "INSERT INTO ports VALUES(?,'rpc',?) ON CONFLICT(port) DO UPDATE SET "
                    "purpose=purpose WHERE ports.instance_id=excluded.instance_id",
                    "is", (gint64)port, record->id))
        return FALSE;
    if (sqlite3_changes(self->db) == 1)
        return TRUE;
    set_port_taken(self, port, error);
    return FALSE;
}

gboolean
kh_store_write_ports(KhStore *self, const KhRecord *record, GError **error)
{
    guint16 now = record->config->rpc_port;
    guint16 next = kh_record_get_wanted(record)->rpc_port;

    return kh_sql_run(self->db, error,
                      "DELETE FROM ports WHERE instance_id=? AND port NOT IN (?,?)", "sii",
                      record->id, (gint64)now, (gint64)next) &&
           claim_port(self, record, now, error) && claim_port(self, record, next, error);
}

gboolean
kh_store_has_port(KhStore *self, guint16 port)
{
    return kh_sql_count(self->db, "SELECT count(*) FROM ports WHERE port=?", "i", (gint64)port) > 0;
}

gboolean
kh_store_check_port(KhStore *self, guint16 port, GError **error)
{
    if (!kh_store_has_port(self, port))
        return TRUE;
    set_port_taken(self, port, error);
    return FALSE;
}

guint
kh_store_count_ports(KhStore *self, guint16 first, guint16 last)
{
    return (guint)kh_sql_count(self->db, "SELECT count(*) FROM ports WHERE port BETWEEN ? AND ?",
                               "ii", (gint64)first, (gint64)last);
}

guint16
kh_store_find_port(KhStore *self, guint16 first, guint16 last)
{
    const guint8 *end = self->taken + last + 1, *from = self->taken + first, *found;

    while ((found = memchr(from, FALSE, (gsize)(end - from))) != NULL) {
        guint16 port = (guint16)(found - self->taken);

        if (!kh_store_has_port(self, port))
            return port;
        self->taken[port] = TRUE;
        from = found + 1;
    }
    return 0;
}
