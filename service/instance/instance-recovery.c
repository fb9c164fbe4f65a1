/* SPDX-License-Identifier: MIT */
/*
 * What a service before this one has left of an instance: its machine is looked for, and
 * followed again if it lives. That there is none must be known: as long as it could not be
 * looked at, the instance keeps its state, says so with it, and is looked at again; nothing
 * of it is freed. Begun by the manager, once this service owns the bus name.
 */
#include "instance-private.h"

#include "descriptors.h"
#include "error.h"
#include "log/instance-log.h"

#define LOOK_DELAY_MAX_S 8 /* a look costs little, and who waits for a stop waits for it */

static void look(KhInstance *self);

gboolean
kh_instance_is_doubted(KhInstance *self)
{
    return self->presence == KH_PRESENCE_SOUGHT && kh_state_is_down(self->record->state);
}

/* A start that waited to know whether one is needed is not. */
static void
end_waiting_start(KhInstance *self)
{
    KhLifecycle waiting = self->next;

    self->next = (KhLifecycle){0};
    kh_instance_touch(self, KH_ASPECT_STATE);
    kh_instance_end_job(self, &waiting, NULL);
}

/* One that the database did not know of is waited for, as if it had just been started. */
static void
note_found(KhInstance *self)
{
    kh_instance_forget_restart(self);
    if (self->next.job != NULL)
        kh_instance_take_job(self);
    else
        kh_instance_begin_job(self, KH_OPERATION_START, KH_JOB_SERVICE);
    self->current.unattended = TRUE;
    kh_instance_set_state(self, KH_STATE_STARTING,
                          "Its machine is running, though the database said that it had ended");
}

/* What was under way with it goes on. */
static void
stop_found(KhInstance *self)
{
    if (self->current.kill || self->record->state == KH_STATE_DELETING)
        kh_run_kill(self->run);
    else
        kh_run_stop(self->run, kh_instance_default_stop_ms(self), KH_RUN_QUIT_MS);
}

/* A machine is there. */
static void
adopt(KhInstance *self, KhVm *vm)
{
    KhState state = self->record->state;

    /* Whatever boot its row was of: it lives in this one. */
    kh_instance_replace(&self->record->boot_id, self->machines->facts->boot_id);
    if (kh_state_is_down(state))
        note_found(self);
    kh_instance_forget_unseen(self);
    kh_instance_follow(self, vm);
    kh_instance_save(self, NULL);
    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "is followed again; QEMU's pid is %u",
                    kh_instance_get_main_pid(self));
    kh_instance_touch(self, KH_ASPECT_STATE);
    kh_instance_tell(self);
    if (state == KH_STATE_STOPPING || state == KH_STATE_DELETING)
        stop_found(self);
    else
        end_waiting_start(self);
}

void
kh_instance_forget_unseen(KhInstance *self)
{
    g_clear_handle_id(&self->look_timer, g_source_remove);
    g_clear_error(&self->unseen);
    self->look_delay = 0;
}

static gboolean
on_look_timer(gpointer data)
{
    KhInstance *self = data;

    self->look_timer = 0;
    look(self);
    return G_SOURCE_REMOVE;
}

/* Takes @reason: why it is not known whether a machine lives. */
static void
look_later(KhInstance *self, GError *reason)
{
    if (self->unseen == NULL)
        kh_log_instance(
            self->record, G_LOG_LEVEL_WARNING,
            "It is not known yet whether its machine is running; it is looked for again: %s",
            reason->message);
    g_clear_error(&self->unseen);
    self->unseen = reason;
    /* Who waits for its deletion has waited long enough; that goes on. */
    if (self->record->state == KH_STATE_DELETING)
        kh_job_answer(kh_instance_get_deletion(self), reason);
    self->look_delay = CLAMP(self->look_delay * 2, 1, LOOK_DELAY_MAX_S);
    self->look_timer = g_timeout_add_seconds(self->look_delay, on_look_timer, self);
    kh_instance_touch(self, KH_ASPECT_STATE);
    kh_instance_tell(self);
}

/* Nothing is looked for any more. */
static void
settle(KhInstance *self)
{
    kh_instance_forget_unseen(self);
    self->presence = KH_PRESENCE_NONE;
}

/* Nothing is under way any more but that. */
static void
fail_waiting_start(KhInstance *self, const GError *reason)
{
    KhLifecycle waiting;

    if (self->next.job != NULL)
        kh_instance_take_job(self);
    waiting = kh_instance_take_job(self);
    kh_instance_end_job(self, &waiting, reason);
}

/* One lives that is not this service's: nothing of it is touched, its unit neither. */
static void
leave_alone(KhInstance *self, const GError *reason)
{
    g_autofree char *text =
        g_strdup_printf("Its machine is not run by this service. %s", reason->message);

    settle(self);
    self->record->shim = self->record->qemu = (KhProcess){0};
    if (self->record->state == KH_STATE_DELETING)
        kh_instance_begin_removal(self);
    else if (!kh_state_is_down(self->record->state))
        kh_instance_set_failed(self, reason, text);
    if (self->next.job != NULL || kh_lifecycle_starts(&self->current))
        fail_waiting_start(self, reason);
}

/* What was configured for a next start, of a machine whose end no service has noted. */
static void
take_left_pending(KhInstance *self)
{
    if (self->record->pending == NULL)
        return;
    kh_instance_take_pending(self);
    kh_instance_tell(self);
}

/* By its row it has ended, and so it has: what waited for that goes on. */
static void
rest(KhInstance *self)
{
    settle(self);
    take_left_pending(self);
    if (self->next.job != NULL) {
        kh_instance_take_job(self);
        kh_instance_go_on(self);
    } else if (self->record->restart_usec > 0) {
        kh_instance_resume_restart(self);
    }
}

/* What the look has come to: @vm, or @error, which is taken. */
static void
take_result(KhInstance *self, KhVm *vm, GError *error)
{
    g_autoptr(GError) reason = error;

    if (vm != NULL) {
        adopt(self, vm);
    } else if (g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND)) {
        kh_instance_forget_unseen(self);
        if (kh_instance_is_doubted(self))
            rest(self);
        else
            kh_instance_release(self);
    } else if (g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_AUTHORIZED)) {
        leave_alone(self, reason);
    } else {
        look_later(self, g_steal_pointer(&reason));
    }
}

/* A machine that is to end may have of what is kept for that. */
static gboolean
check_descriptors(KhInstance *self, GError **error)
{
    KhState state = self->record->state;

    return (state == KH_STATE_STOPPING || state == KH_STATE_DELETING
                ? kh_descriptors_check_reserve
                : kh_descriptors_check)(KH_DESCRIPTORS_MACHINE, error);
}

static void
on_found(KhVm *vm, GError *error, gpointer data)
{
    g_autoptr(KhInstance) self = data;

    take_result(self, vm, error);
}

static void
look(KhInstance *self)
{
    GError *error = NULL;

    if (check_descriptors(self, &error))
        kh_machines_find(self->machines, self->record, on_found, g_object_ref(self));
    else
        take_result(self, NULL, error);
}

void
kh_instance_look_now(KhInstance *self)
{
    if (self->look_timer == 0)
        return;
    g_clear_handle_id(&self->look_timer, g_source_remove);
    look(self);
}

/* The job of what was under way, as far as the row tells; nobody waits for it any more. */
static void
resume_job(KhInstance *self)
{
    const KhRecord *record = self->record;

    if (record->state == KH_STATE_STARTING)
        kh_instance_begin_job(self, KH_OPERATION_START, KH_JOB_SERVICE);
    else if (record->state == KH_STATE_DELETING)
        kh_instance_begin_job(self, KH_OPERATION_FORCE_DELETE, KH_JOB_SERVICE);
    else if (record->state == KH_STATE_STOPPING)
        kh_instance_begin_job(self,
                              record->restart_usec > 0 ? KH_OPERATION_RESTART : KH_OPERATION_STOP,
                              KH_JOB_SERVICE);
    if (self->current.job == NULL)
        return;
    self->current.unattended = TRUE;
    kh_instance_report(self, "looking for its machine", 0);
    /* Only a stop of the service's own has a reason: Katana's end, alive or dead as it is now. */
    if (record->state == KH_STATE_STOPPING && record->reason[0] != '\0')
        self->current.failure = g_error_new(KH_ERROR, KH_ERROR_GUEST_FAILED, "%s", record->reason);
    kh_instance_tell(self);
}

/*
 * Where a service before this one left it. A row of another boot tells nothing of processes, but
 * may be one of a copy of the database that was put back: @lives is believed rather.
 */
static void
resume(KhInstance *self, gboolean lives)
{
    KhRecord *record = self->record;
    gboolean same_boot = g_str_equal(record->boot_id, self->machines->facts->boot_id);

    self->launched = record->shim.pid > 0;
    self->presence = KH_PRESENCE_SOUGHT;
    resume_job(self);
    if (!same_boot)
        record->shim = record->qemu = (KhProcess){0};
    if (same_boot || lives)
        look(self);
    else
        kh_instance_release(self);
}

void
kh_instance_note_deleted(KhInstance *self)
{
    kh_record_set_state(self->record, KH_STATE_DELETING);
    kh_instance_announce(self);
}

void
kh_instance_doubt(KhInstance *self)
{
    self->presence = KH_PRESENCE_SOUGHT;
    self->launched = TRUE; /* what is found has been */
    look(self);
}

void
kh_instance_take_over(KhInstance *self, gboolean lives)
{
    if (!kh_state_is_down(self->record->state))
        resume(self, lives);
    else if (lives)
        kh_instance_doubt(self);
    else
        rest(self);
}

gboolean
kh_instance_start_if_gone(KhInstance *self)
{
    if (self->presence != KH_PRESENCE_SOUGHT || self->record->state == KH_STATE_DELETING)
        return FALSE;
    if (!kh_lifecycle_starts(&self->current)) {
        kh_instance_begin_next_job(self, KH_OPERATION_START, KH_JOB_SERVICE);
        self->next.unattended = TRUE;
        kh_instance_tell(self);
    }
    return TRUE;
}
