/* SPDX-License-Identifier: MIT */
/*
 * What is asked of an instance; see KhRequest. Each request is admitted by the table of states
 * and by what stands against it here; then it begins a job, joins the one under way, or there
 * is nothing to do.
 */
#include "instance-private.h"

#include "descriptors.h"
#include "error.h"

static gboolean
needs_configuration(KhOperation operation)
{
    return operation == KH_OPERATION_START || operation == KH_OPERATION_RESTART ||
           operation == KH_OPERATION_CONFIGURE;
}

static gboolean
begins_a_machine(KhOperation operation)
{
    return operation == KH_OPERATION_START || operation == KH_OPERATION_RESTART ||
           operation == KH_OPERATION_RESET;
}

/* A machine that lives can be stopped, paused and resumed where nothing can be written. */
static gboolean
needs_state(KhOperation operation)
{
    return begins_a_machine(operation) || operation == KH_OPERATION_CONFIGURE ||
           operation == KH_OPERATION_DELETE || operation == KH_OPERATION_FORCE_DELETE;
}

/* What stands against beginning a machine, besides its state. */
static gboolean
check_beginning(KhInstance *self, KhOperation operation, GError **error)
{
    const char *what = kh_operation_name(operation), *name = self->record->name;

    if (kh_shutdown_has_begun(self->shutdown))
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "Cannot %s \"%s\": the service is shutting down", what, name);
    else if (self->unseen != NULL)
        g_set_error(error, KH_ERROR, self->unseen->code,
                    "Cannot %s \"%s\": it is not known yet whether its machine is running: %s",
                    what, name, self->unseen->message);
    else if (kh_instance_is_doubted(self))
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "Cannot %s \"%s\": the service is still finding out whether its machine is "
                    "running; try again",
                    what, name);
    else
        return TRUE;
    return FALSE;
}

/* What the host must have for it; of its own it has that of a machine that lives. */
static gboolean
check_host(KhInstance *self, KhOperation operation, GError **error)
{
    if (needs_state(operation) && !kh_state_dir_check_writable(self->machines->state_dir, error))
        return FALSE;
    return !begins_a_machine(operation) || kh_instance_has_machine(self) ||
           kh_descriptors_check(KH_DESCRIPTORS_MACHINE, error);
}

static gboolean
check_row(KhInstance *self, KhOperation operation, GError **error)
{
    if (self->record->damage == NULL || !needs_configuration(operation))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_FAILED,
        "The row of \"%s\" in the database is damaged (%s); it can only be stopped and deleted",
        self->record->name, self->record->damage);
}

KhAdmission
kh_instance_check(KhInstance *self, KhOperation operation, GError **error)
{
    const KhRecord *record = self->record;
    KhAdmission admission = kh_state_table_look_up(record->state, operation);

    if (self->gone) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "\"%s\" has been deleted", record->name);
        return KH_ADMISSION_REFUSE;
    }
    /* A stop ends the wait for an automatic restart. */
    if (self->restart_timer != 0 &&
        (operation == KH_OPERATION_STOP || operation == KH_OPERATION_KILL))
        return KH_ADMISSION_ALLOW;
    if (begins_a_machine(operation) && !check_beginning(self, operation, error))
        return KH_ADMISSION_REFUSE;
    if (admission == KH_ADMISSION_REFUSE)
        kh_state_table_explain(record->name, record->state, operation, error);
    else if ((admission == KH_ADMISSION_ALLOW && !check_host(self, operation, error)) ||
             !check_row(self, operation, error))
        return KH_ADMISSION_REFUSE;
    return admission;
}

/*
 * That nothing is left to do for a stop is true once it is known that nothing lives, and the
 * database knows of the last one.
 */
static gboolean
check_nothing_left(KhInstance *self, KhOperation operation, GError **error)
{
    GError *unsaved = NULL;

    if (operation != KH_OPERATION_STOP && operation != KH_OPERATION_KILL)
        return TRUE;
    if (kh_instance_is_doubted(self))
        unsaved = g_error_new(KH_ERROR, KH_ERROR_BUSY,
                              "The service is still finding out whether the machine of \"%s\" is "
                              "running; try again",
                              self->record->name);
    else if (!kh_instance_is_saved(self))
        unsaved = kh_instance_unsaved_error(self);
    if (unsaved == NULL)
        return TRUE;
    g_propagate_error(error, unsaved);
    return FALSE;
}

void
kh_instance_forgive(KhInstance *self)
{
    kh_backoff_reset(&self->backoff);
    self->record->restart_count = 0;
    kh_instance_replace(&self->record->stopped_in, "");
}

static KhJob *
ask_start(KhInstance *self, const KhRequest *request, GError **error)
{
    g_autoptr(KhJob) job = NULL;

    if (self->record->state == KH_STATE_STARTING)
        return g_object_ref(self->current.job);
    kh_instance_forgive(self);
    kh_instance_begin_job(self, KH_OPERATION_START, request->caller);
    job = g_object_ref(self->current.job);
    kh_instance_begin(self);
    return g_steal_pointer(&job);
}

typedef KhJob *(*Ask)(KhInstance *self, const KhRequest *request, GError **error);

static const Ask asks[KH_N_OPERATIONS] = {
    [KH_OPERATION_START] = ask_start,
    [KH_OPERATION_STOP] = kh_instance_ask_stop,
    [KH_OPERATION_KILL] = kh_instance_ask_stop,
    [KH_OPERATION_RESTART] = kh_instance_ask_restart,
    [KH_OPERATION_RESET] = kh_instance_ask_command,
    [KH_OPERATION_PAUSE] = kh_instance_ask_command,
    [KH_OPERATION_RESUME] = kh_instance_ask_command,
    [KH_OPERATION_DELETE] = kh_instance_ask_deletion,
    [KH_OPERATION_FORCE_DELETE] = kh_instance_ask_deletion,
};

KhJob *
kh_instance_request(KhInstance *self, const KhRequest *request, GError **error)
{
    g_autoptr(KhInstance) held = g_object_ref(self);
    KhAdmission admission = kh_instance_check(self, request->operation, error);

    if (admission == KH_ADMISSION_ALLOW || admission == KH_ADMISSION_JOIN)
        return asks[request->operation](self, request, error);
    if (admission == KH_ADMISSION_NOTHING)
        check_nothing_left(self, request->operation, error);
    return NULL;
}

/* How long who asked waits, in microseconds. */
static gint64
budget_of(KhInstance *self, const KhRequest *request)
{
    gint64 start = request->timeout_usec > 0
                       ? request->timeout_usec
                       : (gint64)self->machines->settings->start_timeout * G_USEC_PER_SEC;

    if (request->operation == KH_OPERATION_RESTART && self->record->state == KH_STATE_STOPPING)
        return start + kh_instance_stop_budget(self, &(KhRequest){.operation = KH_OPERATION_STOP});
    return kh_operation_starts(request->operation) ? start : kh_instance_stop_budget(self, request);
}

static char *
explain_late_start(KhInstance *self, gint64 timeout_usec)
{
    return g_strdup_printf("\"%s\" did not answer within %.3g s and is still starting: wait for "
                           "it, read its log, or stop it",
                           self->record->name, (double)timeout_usec / G_USEC_PER_SEC);
}

/* A deletion, and a command, takes what it takes. */
void
kh_instance_wait_async(KhInstance *self, KhJob *job, const KhRequest *request,
                       GAsyncReadyCallback callback, gpointer user_data)
{
    const KhOperation operation = request->operation;
    gint64 timeout = budget_of(self, request);
    g_autofree char *late = NULL;

    if (kh_operation_starts(operation))
        late = explain_late_start(self, timeout);
    else if (operation == KH_OPERATION_STOP || operation == KH_OPERATION_KILL)
        late = kh_instance_explain_late_stop(self);
    kh_job_wait_async(job, late == NULL ? 0 : timeout, late, callback, user_data);
}
