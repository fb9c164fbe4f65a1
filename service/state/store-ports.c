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

static void
note_rows(KhStore *self, sqlite3_stmt *row, gboolean taken)
{
    int result = SQLITE_ERROR;

    while (row != NULL && (result = sqlite3_step(row)) == SQLITE_ROW) {
        gint64 port = sqlite3_column_int64(row, 0);

        if (port >= 0 && port < PORTS)
            self->taken[port] = taken ? TRUE : FALSE;
    }
    self->ports_known = self->ports_known && result == SQLITE_DONE;
}

void
kh_store_note_ports(KhStore *self, const char *id, gboolean taken)
{
    g_autoptr(sqlite3_stmt) row =
        kh_sql_prepare(self->db, NULL, "SELECT port FROM ports WHERE instance_id=?", "s", id);

    note_rows(self, row, taken);
}

/*
 * To ask the table for each port takes longer the more are taken. Where it could not be read, the
 * next who asks has it read; who claims a port that another has is told by the table in any case.
 */
static const guint8 *
taken_ports(KhStore *self)
{
    g_autoptr(sqlite3_stmt) row = NULL;

    if (self->ports_known)
        return self->taken;
    memset(self->taken, FALSE, PORTS);
    self->ports_known = TRUE;
    row = kh_sql_prepare(self->db, NULL, "SELECT port FROM ports", "");
    note_rows(self, row, TRUE);
    return self->taken;
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
kh_store_check_port(KhStore *self, guint16 port, GError **error)
{
    if (!taken_ports(self)[port])
        return TRUE;
    set_port_taken(self, port, error);
    return FALSE;
}

guint
kh_store_count_ports(KhStore *self, guint16 first, guint16 last)
{
    const guint8 *taken = taken_ports(self);
    guint count = 0;

    for (guint port = first; port <= last; port++)
        count += taken[port];
    return count;
}

guint16
kh_store_find_port(KhStore *self, guint16 first, guint16 last)
{
    const guint8 *taken = taken_ports(self);
    const guint8 *found = memchr(taken + first, FALSE, (gsize)last - first + 1);

    return found == NULL ? 0 : (guint16)(found - taken);
}
