/* SPDX-License-Identifier: MIT */
/*
 * Deletion, as it is asked for, and carried out: its machine is killed, then its folders go,
 * then its row.
 */
#include "instance-private.h"

#include "crash-point.h"
#include "error.h"
#include "log/instance-log.h"
#include "machine/removal.h"

/*
 * That it is to be deleted must be known to the next service, by its row; or, where the disk
 * is too full for that, by the mark of its folder, which does not tell of data that stays.
 */
static gboolean
note_deletion(KhInstance *self, GError **error)
{
    GError *failure = NULL;

    if (kh_instance_save_intent(self, &failure))
        return TRUE;
    if (g_error_matches(failure, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE) &&
        !self->record->keep_data && kh_removal_mark(self->machines, self->record)) {
        g_clear_error(&failure);
        return TRUE;
    }
    g_propagate_error(error, failure);
    return FALSE;
}

/* What cannot be written down is not begun, and leaves everything as it was. */
static gboolean
intend_deletion(KhInstance *self, gboolean keep_data, GError **error)
{
    KhRecord *record = self->record;
    const KhState before = record->state;
    const gint64 due = record->restart_usec, since = record->state_changed_usec;
    g_autofree char *reason = g_steal_pointer(&record->reason);

    kh_record_set_state(record, KH_STATE_DELETING);
    record->reason = g_strdup("");
    record->keep_data = keep_data;
    record->restart_usec = 0;
    if (note_deletion(self, error))
        return TRUE;
    record->state = before;
    record->state_changed_usec = since;
    g_free(record->reason);
    record->reason = g_steal_pointer(&reason);
    record->keep_data = FALSE;
    record->restart_usec = due;
    return FALSE;
}

/* The machine of whatever was under way ends by force; where none is known it is looked for. */
static void
kill_machine(KhInstance *self)
{
    if (self->run != NULL)
        kh_run_kill(self->run);
    else if (self->presence == KH_PRESENCE_NONE)
        kh_instance_doubt(self);
    kh_instance_look_now(self);
}

/* A stop that is under way ends with the machine, before this; anything else at once. */
static void
begin_deletion(KhInstance *self, const KhRequest *request)
{
    KhLifecycle overtaken = {0};

    kh_instance_drop_next_job(self, "was deleted");
    if (kh_lifecycle_stops(&self->current))
        kh_instance_begin_next_job(self, request->operation, request->caller);
    else
        overtaken = kh_instance_begin_job(self, request->operation, request->caller);
    kh_instance_announce(self);
    kh_instance_forget_restart(self);
    kh_crash_point("delete:intended");
    kh_instance_overtake_job(self, &overtaken, "was deleted");
    kill_machine(self);
    kh_crash_point("delete:begun");
}

static KhJob *
join_deletion(KhInstance *self, const KhRequest *request, GError **error)
{
    g_autoptr(KhJob) job = g_object_ref(kh_instance_get_deletion(self));

    if (request->keep_data && !self->record->keep_data) {
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "\"%s\" is already being deleted, and its data with it", self->record->name);
        return NULL;
    }
    if (self->cleared && !kh_instance_remove_row(self, error))
        return NULL;
    return g_steal_pointer(&job);
}

KhJob *
kh_instance_ask_deletion(KhInstance *self, const KhRequest *request, GError **error)
{
    g_autoptr(KhJob) job = NULL;

    if (self->record->state == KH_STATE_DELETING)
        return join_deletion(self, request, error);
    if (!intend_deletion(self, request->keep_data, error))
        return NULL;
    begin_deletion(self, request);
    return g_object_ref(kh_instance_get_deletion(self));
}

void
kh_instance_conclude_removal(KhInstance *self)
{
    /* The manager lets go of it. */
    g_autoptr(KhInstance) held = g_object_ref(self);
    KhLifecycle job;

    kh_removal_free_uid(self->machines, self->record);
    kh_crash_point("delete:uid-released");
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "deleted");
    kh_instance_emit_gone(self);
    job = kh_instance_take_job(self);
    kh_instance_end_job(self, &job, NULL);
}

static void
on_removed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhInstance) self = data;
    g_autoptr(GError) error = NULL;

    kh_crash_point("delete:files-removed");
    self->cleared = kh_removal_run_finish(result, &error);
    if (self->cleared) {
        if (!kh_instance_remove_row(self, &error))
            kh_job_answer(self->current.job, error);
        return;
    }
    self->record->keep_data = FALSE;
    kh_instance_set_failed(self, error, error->message);
}

void
kh_instance_begin_removal(KhInstance *self)
{
    kh_crash_point("delete:ended");
    if (kh_lifecycle_stops(&self->current)) {
        KhLifecycle stop = kh_instance_take_job(self);

        kh_instance_end_job(self, &stop, NULL);
    }
    kh_instance_end_overtaken_jobs(self);
    kh_instance_report(self, "removing its files", 0.5);
    kh_removal_run_async(self->machines, self->record, on_removed, g_object_ref(self));
}
