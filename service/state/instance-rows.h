/* SPDX-License-Identifier: MIT */
/*
 * The rows of the table "instances", made from the list of its columns (model/record.c):
 * a new one needs a field of KhRecord, an element of the list and a step of the schema. Used by
 * the store, in its transactions.
 */
#pragma once

#include <sqlite3.h>

#include "model/record.h"

G_BEGIN_DECLS

/* A row of @record, marked as being made until kh_instance_rows_finish_making(). */
gboolean kh_instance_rows_insert(sqlite3 *db, const KhRecord *record, GError **error);

gboolean kh_instance_rows_finish_making(sqlite3 *db, const char *id, GError **error);

/* Writes everything that may change; nothing of a damaged one. */
gboolean kh_instance_rows_update(sqlite3 *db, const KhRecord *record, GError **error);

/*
 * Every row, with its uid, oldest first: GPtrArray of KhRecord, transfer full. Of one that
 * cannot be understood there is what is left, and "damage".
 */
GPtrArray *kh_instance_rows_load(sqlite3 *db, GError **error);

G_END_DECLS
