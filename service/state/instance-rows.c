/* SPDX-License-Identifier: MIT */
/* The rows of instances; see instance-rows.h. */
#include "instance-rows.h"

#include "error.h"
#include "model/config-checks.h"
#include "sql.h"

/* Every column, or those that may change, or their places in a statement; transfer full. */
static char *
list_columns(gboolean all, gboolean places)
{
    GString *list = g_string_new(NULL);

    for (guint i = 0; i < kh_record_n_columns; i++) {
        const char *comma = list->len > 0 ? "," : "";

        if (kh_record_columns[i].once && !all)
            continue;
        if (places)
            g_string_append_printf(list, "%s?%u", comma, i + 1);
        else
            g_string_append_printf(list, "%s%s", comma, kh_record_columns[i].name);
    }
    return g_string_free(list, FALSE);
}

static void
bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    sqlite3_bind_text(statement, place, text, -1, SQLITE_TRANSIENT);
}

static void
bind_config(sqlite3_stmt *statement, int place, const KhConfig *config)
{
    g_autofree char *text = config == NULL ? g_strdup("") : kh_config_to_text(config);

    bind_text(statement, place, text);
}

static void
bind_column(sqlite3_stmt *statement, guint i, const KhRecord *record)
{
    gconstpointer field = (const char *)record + kh_record_columns[i].offset;
    const KhConfig *const *config = field;
    int place = (int)i + 1;

    switch (kh_record_columns[i].kind) {
    case KH_COLUMN_NAME:
    case KH_COLUMN_TEXT:
        bind_text(statement, place, *(const char *const *)field);
        break;
    case KH_COLUMN_INT64:
        sqlite3_bind_int64(statement, place, *(const gint64 *)field);
        break;
    case KH_COLUMN_UINT:
        sqlite3_bind_int64(statement, place, *(const guint *)field);
        break;
    case KH_COLUMN_INT:
        sqlite3_bind_int(statement, place, *(const int *)field);
        break;
    case KH_COLUMN_STATE:
        bind_text(statement, place, kh_state_name(*(const KhState *)field));
        break;
    case KH_COLUMN_CONFIG:
        bind_config(statement, place, *config);
        break;
    case KH_COLUMN_IMAGE:
        bind_text(statement, place, *config == NULL ? NULL : (*config)->image);
        break;
    case KH_COLUMN_MARK:
        sqlite3_bind_int(statement, place, TRUE);
    }
}

/* @sql with every column bound in its place. */
static gboolean
write_row(sqlite3 *db, const char *sql, const KhRecord *record, GError **error)
{
    g_autoptr(sqlite3_stmt) statement = kh_sql_prepare(db, error, sql, "");

    for (guint i = 0; statement != NULL && i < kh_record_n_columns; i++)
        bind_column(statement, i, record);
    return statement != NULL && kh_sql_finish(db, statement, error);
}

gboolean
kh_instance_rows_insert(sqlite3 *db, const KhRecord *record, GError **error)
{
    g_autofree char *names = list_columns(TRUE, FALSE);
    g_autofree char *places = list_columns(TRUE, TRUE);
    g_autofree char *sql = g_strdup_printf("INSERT INTO instances(%s) VALUES(%s)", names, places);

    return write_row(db, sql, record, error);
}

gboolean
kh_instance_rows_finish_making(sqlite3 *db, const char *id, GError **error)
{
    return kh_sql_run(db, error, "UPDATE instances SET making=0 WHERE id=?", "s", id);
}

gboolean
kh_instance_rows_update(sqlite3 *db, const KhRecord *record, GError **error)
{
    g_autofree char *names = list_columns(FALSE, FALSE);
    g_autofree char *places = list_columns(FALSE, TRUE);
    g_autofree char *sql =
        g_strdup_printf("UPDATE instances SET (%s)=(%s) WHERE id=?1", names, places);

    return record->damage != NULL || write_row(db, sql, record, error);
}

static gboolean
read_state(KhRecord *record, const char *name, GError **error)
{
    /* Should it be the damage: a machine that may live is looked for. */
    record->state = record->shim.pid > 0 ? KH_STATE_RUNNING : KH_STATE_FAILED;
    if (kh_state_from_name(name, &record->state))
        return TRUE;
    return kh_error_set(error, KH_ERROR_FAILED, "unknown state \"%s\"", name);
}

static gboolean
read_config(KhConfig **config, const char *text, GError **error)
{
    if (text[0] == '\0')
        return TRUE;
    *config = kh_config_from_text(text, error);
    return *config != NULL;
}

static void
read_image(KhConfig **config, const char *image)
{
    g_autoptr(KhConfig) before = *config;

    if (before != NULL)
        *config = kh_config_with(before, "image", g_variant_new_string(image));
}

static gboolean
read_column(KhRecord *record, sqlite3_stmt *row, guint i, GError **error)
{
    g_autofree char *text = kh_sql_text(row, (int)i);
    gint64 number = sqlite3_column_int64(row, (int)i);
    gpointer field = (char *)record + kh_record_columns[i].offset;

    switch (kh_record_columns[i].kind) {
    case KH_COLUMN_NAME:
    case KH_COLUMN_TEXT:
        g_free(*(char **)field);
        *(char **)field = g_steal_pointer(&text);
        return TRUE;
    case KH_COLUMN_INT64:
        *(gint64 *)field = number;
        return TRUE;
    case KH_COLUMN_UINT:
        *(guint *)field = (guint)number;
        return TRUE;
    case KH_COLUMN_INT:
    case KH_COLUMN_MARK:
        *(int *)field = (int)number;
        return TRUE;
    case KH_COLUMN_STATE:
        return read_state(record, text, error);
    case KH_COLUMN_CONFIG:
        return read_config(field, text, error);
    case KH_COLUMN_IMAGE:
        read_image(field, text);
        return TRUE;
    }
    return TRUE;
}

/* All columns, whatever one of them is; the first @error. */
static gboolean
read_columns(KhRecord *record, sqlite3_stmt *row, GError **error)
{
    const int uid = (int)kh_record_n_columns;
    gboolean good = TRUE;

    for (guint i = 0; i < kh_record_n_columns; i++)
        good = read_column(record, row, i, good ? error : NULL) && good;
    record->vm_uid =
        sqlite3_column_type(row, uid) == SQLITE_NULL ? -1 : sqlite3_column_int64(row, uid);
    return good;
}

/* An id, or that of an image, is a part of paths: of files and of objects. */
static gboolean
is_path_word(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (!g_ascii_isalnum(*c) && *c != '-')
            return FALSE;
    return text[0] != '\0';
}

static gboolean
check_words(const KhRecord *record, GError **error)
{
    if (record->config == NULL)
        return kh_error_set(error, KH_ERROR_FAILED, "it has no configuration");
    if (!kh_name_check(record->name, error))
        return FALSE;
    if (is_path_word(record->config->image) && is_path_word(kh_record_get_wanted(record)->image))
        return TRUE;
    return kh_error_set(error, KH_ERROR_FAILED, "its image has no id");
}

/*
 * Of a row that cannot be understood what is left is shown, so that it can be deleted: it
 * holds a name, a port, a uid and files. It is never written to.
 */
static void
take_damaged(sqlite3 *db, KhRecord *record, const GError *reason)
{
    g_autoptr(KhConfig) defaults = kh_config_from_text("@a{sv} {}", NULL);
    g_autofree char *shown = kh_text_sanitize(reason->message, 200);
    gint64 port =
        kh_sql_count(db, "SELECT min(port) FROM ports WHERE instance_id=?", "s", record->id);

    g_warning("The database's row %s is damaged: %s", record->id, shown);
    record->damage = g_steal_pointer(&shown);
    kh_config_unref(record->config);
    g_clear_pointer(&record->pending, kh_config_unref);
    if (!kh_name_check(record->name, NULL)) {
        g_free(record->name);
        record->name = g_strdup(record->id);
    }
    record->config = kh_config_with(defaults, "rpc-port", g_variant_new_uint16((guint16)port));
}

/* NULL for one that there can be no object and no folder of. */
static KhRecord *
read_record(sqlite3 *db, sqlite3_stmt *row)
{
    g_autoptr(KhRecord) record = kh_record_new();
    g_autoptr(GError) error = NULL;
    gboolean good = read_columns(record, row, &error) && check_words(record, &error);

    if (!is_path_word(record->id)) {
        g_autofree char *shown = kh_text_sanitize(record->id, 80);

        g_warning(
            "The database has a row with the id \"%s\", which is not an instance's; it is left out",
            shown);
        return NULL;
    }
    if (!good)
        take_damaged(db, record, error);
    return g_steal_pointer(&record);
}

GPtrArray *
kh_instance_rows_load(sqlite3 *db, GError **error)
{
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func((GDestroyNotify)kh_record_unref);
    g_autofree char *names = list_columns(TRUE, FALSE);
    g_autofree char *sql = g_strdup_printf(
        "SELECT %s, (SELECT uid FROM uids WHERE instance_id = instances.id) FROM instances "
        "ORDER BY created_usec, rowid",
        names);
    g_autoptr(sqlite3_stmt) row = kh_sql_prepare(db, error, sql, "");
    g_autoptr(GError) failure = NULL;

    if (row == NULL)
        return NULL;
    while (kh_sql_next(db, row, &failure)) {
        KhRecord *record = read_record(db, row);

        if (record != NULL)
            g_ptr_array_add(records, record);
    }
    if (failure == NULL)
        return g_steal_pointer(&records);
    g_propagate_error(error, g_steal_pointer(&failure));
    return NULL;
}
