/* SPDX-License-Identifier: MIT */
/*
 * What there is besides the database's rows, and what follows from it: an administrator is
 * told; as long as there is anything unknown no image goes, since it may be needed; and where
 * the database seems to be lost nothing new is created until somebody has said that it may be
 * (--adopt-empty-state). Called by the other parts of the manager.
 */
#include "manager-private.h"

#include "error.h"
#include "state/database-file.h"

#define SETTING_ADOPTED "adopted-strangers" /* their ids, with blanks between */

/* One that is half made or half deleted may not have it yet, or any more. */
static gboolean
needs_folder(const KhRecord *record)
{
    return !record->making && record->state != KH_STATE_DELETING;
}

const KhStrangers *
kh_manager_find_strangers(KhManager *self)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < self->instances->len; i++) {
        const KhRecord *record = kh_instance_get_record(self->instances->pdata[i]);

        g_hash_table_insert(ids, record->id, GINT_TO_POINTER(needs_folder(record)));
    }
    g_clear_pointer(&self->strangers, kh_strangers_free);
    self->strangers = kh_strangers_find(self->machines->state_dir, ids);
    kh_image_pins_keep_all(self->pins, kh_strangers_any(self->strangers));
    if (self->machines->uids != NULL)
        kh_uid_pool_spare(self->machines->uids, self->strangers->uids);
    g_signal_emit_by_name(self, "changed");
    return self->strangers;
}

void
kh_manager_forget_missing(KhManager *self, const char *id)
{
    guint place;

    if (self->strangers != NULL &&
        g_ptr_array_find_with_equal_func(self->strangers->missing, id, g_str_equal, &place))
        g_ptr_array_remove_index(self->strangers->missing, place);
}

const KhStrangers *
kh_manager_get_strangers(KhManager *self)
{
    return self->strangers;
}

static guint
count_unadopted(GPtrArray *ids, const char *const *adopted)
{
    guint count = 0;

    for (guint i = 0; i < ids->len; i++)
        if (!g_strv_contains(adopted, ids->pdata[i]))
            count++;
    return count;
}

static void
refuse(KhManager *self, guint machines, GError **error)
{
    g_autofree char *database = kh_state_dir_build(self->machines->state_dir, "state.db");
    g_autofree char *copy = kh_database_file_find_copy(database);

    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_STATE,
                "The database %s does not know %u running machines and %u folders of instances "
                "beside it (\"status\" names them); stop the service and %s, or run "
                "katana-hypervisord --adopt-empty-state to accept this database",
                database, machines, self->strangers->folders->len,
                copy != NULL ? copy : "put the right one in its place");
}

gboolean
kh_manager_check_database(KhManager *self, GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) adopted = NULL;
    guint machines, folders = 0;

    if (self->strangers == NULL || !kh_strangers_any(self->strangers))
        return TRUE;
    kh_manager_find_strangers(self);
    text = kh_store_get_setting(self->store, SETTING_ADOPTED);
    adopted = g_strsplit(text != NULL ? text : "", " ", -1);
    machines = count_unadopted(self->strangers->machines, (const char *const *)adopted);
    if (self->instances->len == 0)
        folders = count_unadopted(self->strangers->folders, (const char *const *)adopted);
    if (machines == 0 && folders == 0)
        return TRUE;
    refuse(self, machines, error);
    return FALSE;
}

static void
append_all(GPtrArray *words, GPtrArray *ids)
{
    for (guint i = 0; i < ids->len; i++)
        g_ptr_array_add(words, ids->pdata[i]);
}

gboolean
kh_manager_adopt_strangers(KhManager *self, GError **error)
{
    const KhStrangers *found = kh_manager_find_strangers(self);
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    g_autofree char *text = NULL;

    append_all(words, found->folders);
    append_all(words, found->machines);
    g_ptr_array_add(words, NULL);
    text = g_strjoinv(" ", (char **)words->pdata);
    return kh_store_set_setting(self->store, SETTING_ADOPTED, text, error);
}
