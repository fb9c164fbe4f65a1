/* SPDX-License-Identifier: MIT */
/*
 * References to images. The table "images" has a row for each image that is needed; whatever
 * needs one has a column that REFERENCES images(id): of an instance, "image" and
 * "pending_image". The row comes with the first reference, in its transaction, and goes before
 * the files do, which the database refuses as long as there is a reference; what a service that
 * was killed in between has left are files without a row, which nobody needs. A reference
 * outlives the files: what it belongs to stays, and its start is refused. The policy of which
 * images may go is in image/pins.c, which calls this, as does store.c in its transactions.
 */
#include "store-private.h"

#include "sql.h"

static gboolean
note_image(KhStore *self, const char *image, GError **error)
{
    return kh_sql_run(self->db, error, "INSERT INTO images VALUES(?) ON CONFLICT DO NOTHING", "s",
                      image);
}

gboolean
kh_store_note_images(KhStore *self, const KhRecord *record, GError **error)
{
    return record->damage != NULL || (note_image(self, record->config->image, error) &&
                                      note_image(self, kh_record_get_wanted(record)->image, error));
}

static gboolean
forget_image(KhStore *self, gconstpointer image, GError **error)
{
    return kh_sql_run(self->db, error, "DELETE FROM images WHERE id=?", "s", image);
}

gboolean
kh_store_forget_image(KhStore *self, const char *image, GError **error)
{
    return kh_store_write_anyway(self, forget_image, image, error);
}
