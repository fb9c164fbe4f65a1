/* SPDX-License-Identifier: MIT */
/*
 * The row of an instance, and what becomes of a record that the database does not take: it
 * is unsaved, which its shown reason says, and is written again with a back-off and at the
 * service's end, until it is. The journal has one line of the first failure and one of the
 * success. Called by the other parts of the instance, and by the manager at the end.
 */
#include "instance-private.h"

#include "crash-point.h"
#include "error.h"
#include "log/instance-log.h"

#define SAVE_DELAY_MAX_S 60

static gboolean on_save_timer(gpointer data);

static void
save_later(KhInstance *self)
{
    if (self->save_timer != 0)
        return;
    self->save_delay = CLAMP(self->save_delay * 2, 1, SAVE_DELAY_MAX_S);
    self->save_timer = g_timeout_add_seconds(self->save_delay, on_save_timer, self);
}

void
kh_instance_forget_unsaved(KhInstance *self)
{
    g_clear_handle_id(&self->save_timer, g_source_remove);
    g_clear_error(&self->unsaved);
    self->save_delay = 0;
}

static void
note_saved(KhInstance *self)
{
    if (self->unsaved == NULL)
        return;
    kh_instance_forget_unsaved(self);
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "Its state has now been saved");
}

/* Takes @failure. */
static void
note_unsaved(KhInstance *self, GError *failure)
{
    /* That nothing can be written the service has said, and each of them shows it. */
    if (self->unsaved == NULL)
        kh_log_instance(self->record,
                        kh_store_is_read_only(self->store) ? G_LOG_LEVEL_DEBUG
                                                           : G_LOG_LEVEL_WARNING,
                        "Its state could not be saved, and will be as soon as that works: %s",
                        failure->message);
    g_clear_error(&self->unsaved);
    self->unsaved = failure;
    save_later(self);
}

/* @ports: a change of them may be among what has not been saved. */
static gboolean
write_record(KhInstance *self, gboolean ports, GError **error)
{
    gboolean saved = ports || self->unsaved != NULL
                         ? kh_store_reconfigure(self->store, self->record, error)
                         : kh_store_update(self->store, self->record, error);

    if (saved)
        note_saved(self);
    return saved;
}

static gboolean
save(KhInstance *self, gboolean ports, GError **error)
{
    GError *failure = NULL;

    if (write_record(self, ports, &failure))
        return TRUE;
    if (error != NULL)
        *error = g_error_copy(failure);
    note_unsaved(self, failure);
    return FALSE;
}

gboolean
kh_instance_save_intent(KhInstance *self, GError **error)
{
    return write_record(self, FALSE, error);
}

gboolean
kh_instance_save(KhInstance *self, GError **error)
{
    return save(self, FALSE, error);
}

void
kh_instance_save_ports(KhInstance *self)
{
    save(self, TRUE, NULL);
}

gboolean
kh_instance_remove_row(KhInstance *self, GError **error)
{
    GError *failure = NULL;

    if (kh_store_remove(self->store, self->record->id, &failure)) {
        kh_instance_forget_unsaved(self);
        kh_crash_point("delete:row-removed");
        kh_instance_conclude_removal(self);
        return TRUE;
    }
    g_set_error(error, KH_ERROR, failure->code,
                "The files of \"%s\" have been removed; its row in the database will be "
                "removed as soon as that works: %s",
                self->record->name, failure->message);
    note_unsaved(self, failure);
    kh_instance_touch(self, KH_ASPECT_STATE);
    kh_instance_tell(self);
    return FALSE;
}

static gboolean
save_again(KhInstance *self)
{
    return self->cleared ? kh_instance_remove_row(self, NULL) : save(self, TRUE, NULL);
}

static gboolean
on_save_timer(gpointer data)
{
    g_autoptr(KhInstance) self = g_object_ref(data);

    self->save_timer = 0;
    kh_store_set_patient(self->store, FALSE);
    save_again(self);
    kh_store_set_patient(self->store, TRUE);
    kh_instance_touch(self, KH_ASPECT_STATE);
    if (!self->gone)
        kh_instance_tell(self);
    return G_SOURCE_REMOVE;
}

gboolean
kh_instance_is_saved(KhInstance *self)
{
    return self->unsaved == NULL || save_again(self);
}

GError *
kh_instance_unsaved_error(KhInstance *self)
{
    if (self->unsaved == NULL)
        return NULL;
    return g_error_new(KH_ERROR, self->unsaved->code,
                       "\"%s\" is %s, but the database could not be told yet, and a service that "
                       "starts before it is told would not know: %s",
                       self->record->name, kh_state_name(self->record->state),
                       self->unsaved->message);
}

char *
kh_instance_build_reason(KhInstance *self)
{
    GString *text = g_string_new(self->record->reason);

    if (self->unseen != NULL)
        g_string_append_printf(text, "%sIt is not known yet whether its machine is running: %s",
                               text->len > 0 ? "; " : "", self->unseen->message);
    if (self->unsaved != NULL)
        g_string_append_printf(text, "%sThe database could not be told yet: %s",
                               text->len > 0 ? "; " : "", self->unsaved->message);
    return g_string_free(text, FALSE);
}
