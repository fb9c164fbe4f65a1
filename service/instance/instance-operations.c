/* SPDX-License-Identifier: MIT */
/*
 * What is asked of an instance; see instance.h. Each operation asks the state table, then
 * begins what instance.c carries through, and waits for it with the call.
 */
#include "instance-private.h"

#include <fcntl.h>
#include <unistd.h>

#include "config-keys.h"
#include "crash-point.h"
#include "descriptors.h"
#include "error.h"
#include "state/instance-dir.h"

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

KhAdmission
kh_instance_check(KhInstance *self, KhOperation operation, GError **error)
{
    KhAdmission admission = kh_state_table_look_up(self->record->state, operation);

    if (self->gone) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND, "\"%s\" has been deleted",
                    self->record->name);
        return KH_ADMISSION_REFUSE;
    }
    /* A stop ends the wait for an automatic restart. */
    if (self->restart_timer != 0 &&
        (operation == KH_OPERATION_STOP || operation == KH_OPERATION_KILL))
        return KH_ADMISSION_ALLOW;
    if (self->host->ending && begins_a_machine(operation)) {
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "Cannot %s \"%s\": the service is shutting down", kh_operation_name(operation),
                    self->record->name);
        return KH_ADMISSION_REFUSE;
    }
    if (self->unseen != NULL && begins_a_machine(operation)) {
        g_set_error(error, KH_ERROR, self->unseen->code,
                    "Cannot %s \"%s\": it is not known yet whether its machine is running: %s",
                    kh_operation_name(operation), self->record->name, self->unseen->message);
        return KH_ADMISSION_REFUSE;
    }
    if (self->doubted && begins_a_machine(operation)) {
        g_set_error(error, KH_ERROR, KH_ERROR_BUSY,
                    "Cannot %s \"%s\": the service is still finding out whether its machine is "
                    "running; try again",
                    kh_operation_name(operation), self->record->name);
        return KH_ADMISSION_REFUSE;
    }
    if (admission == KH_ADMISSION_ALLOW && needs_state(operation) &&
        !kh_state_dir_check_writable(self->host->state_dir, error))
        return KH_ADMISSION_REFUSE;
    /* Of its own it has those of a machine that lives. */
    if (admission == KH_ADMISSION_ALLOW && begins_a_machine(operation) &&
        !kh_instance_has_machine(self) && !kh_descriptors_check(KH_DESCRIPTORS_MACHINE, error))
        return KH_ADMISSION_REFUSE;
    if (admission == KH_ADMISSION_REFUSE) {
        kh_state_table_explain(self->record->name, self->record->state, operation, error);
    } else if (self->record->damage != NULL && needs_configuration(operation)) {
        g_set_error(
            error, KH_ERROR, KH_ERROR_FAILED,
            "The row of \"%s\" in the database is damaged (%s); it can only be stopped and deleted",
            self->record->name, self->record->damage);
        return KH_ADMISSION_REFUSE;
    }
    return admission;
}

/*
 * That nothing is left to do for a stop is true once it is known that nothing lives, and the
 * database knows of the last one.
 */
static void
find_unsaved(KhInstance *self, KhOperation operation, GError **error)
{
    if (operation != KH_OPERATION_STOP && operation != KH_OPERATION_KILL)
        return;
    if (self->doubted)
        g_set_error(
            error, KH_ERROR, KH_ERROR_BUSY,
            "The service is still finding out whether the machine of \"%s\" is running; try again",
            self->record->name);
    else if (!kh_instance_is_saved(self))
        *error = kh_instance_unsaved_error(self);
}

/* Answers what the table has already decided; TRUE when @task (taken then) is done. */
static gboolean
decided(KhInstance *self, KhOperation operation, GTask *task)
{
    GError *error = NULL;
    KhAdmission admission = kh_instance_check(self, operation, &error);

    if (admission == KH_ADMISSION_ALLOW || admission == KH_ADMISSION_JOIN)
        return FALSE;
    if (admission == KH_ADMISSION_NOTHING)
        find_unsaved(self, operation, &error);
    if (error == NULL)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
    g_object_unref(task);
    return TRUE;
}

/* @task (taken) waits until RPC has answered. */
static void
wait_for_ready(KhInstance *self, GTask *task, gint64 timeout_usec)
{
    g_autofree char *late =
        g_strdup_printf("\"%s\" did not answer within %.3g s and is still starting: wait for it, "
                        "read its log, or stop it",
                        self->record->name, (double)timeout_usec / G_USEC_PER_SEC);

    kh_waiters_add(self->starters, task, timeout_usec, late);
}

/* An operator wants it to run. */
static void
forgive(KhInstance *self)
{
    kh_backoff_reset(&self->backoff);
    self->record->restart_count = 0;
    kh_instance_replace(&self->record->stopped_in, "");
}

void
kh_instance_start_async(KhInstance *self, gint64 timeout_usec, GAsyncReadyCallback callback,
                        gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_instance_start_async);
    if (decided(self, KH_OPERATION_START, task))
        return;
    wait_for_ready(self, task, timeout_usec);
    if (self->record->state == KH_STATE_STARTING)
        return;
    forgive(self);
    kh_instance_begin(self, FALSE);
}

/* The graceful step and quit share what a caller gives; by default quit has its own time. */
static void
stop_run(KhInstance *self, const KhStop *how)
{
    guint total = (guint)(how->timeout_usec / 1000);
    guint quit = MIN(KH_RUN_QUIT_MS, total / 2);

    if (how->kill)
        kh_run_kill(self->run);
    else if (total == 0)
        kh_run_stop(self->run, kh_instance_default_stop_ms(self), KH_RUN_QUIT_MS);
    else
        kh_run_stop(self->run, total - quit, quit);
}

static void
begin_stop(KhInstance *self, const KhStop *how)
{
    if (self->record->state != KH_STATE_STOPPING)
        kh_instance_set_state(self, KH_STATE_STOPPING, "");
    else
        kh_instance_save(self, NULL);
    kh_crash_point("stop:intended");
    kh_instance_report(self, "stopping the guest", 0.1);
    self->kill = self->kill || how->kill;
    if (self->run != NULL)
        stop_run(self, how);
    else if (self->beginning != NULL)
        g_cancellable_cancel(self->beginning);
    kh_instance_look_now(self);
    kh_crash_point("stop:told");
}

/* How long a stop may take, its last resort included. */
static gint64
stop_budget(KhInstance *self, const KhStop *how)
{
    gint64 steps = ((gint64)kh_instance_default_stop_ms(self) + KH_RUN_QUIT_MS) * 1000;

    return (how->timeout_usec > 0 ? how->timeout_usec : steps) + KH_RUN_KILL_MS * 1000;
}

static char *
explain_late_stop(KhInstance *self)
{
    const char *name = self->record->name;

    if (self->run != NULL)
        return g_strdup_printf(
            "QEMU of \"%s\" was killed and has not ended; a device or a file system may be stuck",
            name);
    if (self->unseen != NULL)
        return g_strdup_printf("It is not known yet whether the machine of \"%s\" is running; it "
                               "will be stopped as soon as it is found",
                               name);
    return g_strdup_printf(
        "\"%s\" is still being started, and will stop once the start has been interrupted", name);
}

static void
wait_for_stop(KhInstance *self, GTask *task, const KhStop *how)
{
    g_autofree char *late = explain_late_stop(self);

    kh_waiters_add(self->stoppers, task, stop_budget(self, how), late);
}

void
kh_instance_stop_async(KhInstance *self, const KhStop *how, GAsyncReadyCallback callback,
                       gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_instance_stop_async);
    if (decided(self, how->kill ? KH_OPERATION_KILL : KH_OPERATION_STOP, task))
        return;
    if (!how->by_service)
        kh_instance_replace(&self->record->stopped_in, self->host->boot_id);
    self->again = FALSE;
    kh_instance_forget_restart(self);
    wait_for_stop(self, task, how);
    if (kh_instance_has_machine(self)) {
        begin_stop(self, how);
    } else {
        kh_instance_set_stopped(self, "The automatic restart was cancelled", FALSE);
    }
}

/*
 * What is not written down is not begun: it would be stopped, and nobody start it again. A
 * service that takes over in the middle sees by the time that a start is to follow.
 */
static gboolean
intend_restart(KhInstance *self, GError **error)
{
    KhRecord *record = self->record;
    const KhState before = record->state;
    const gint64 due = record->restart_usec;
    g_autofree char *reason = g_steal_pointer(&record->reason);
    gboolean saved;

    record->state = KH_STATE_STOPPING;
    record->reason = g_strdup("");
    record->restart_usec = g_get_real_time();
    saved = kh_instance_save_intent(self, error);
    record->state = before;
    g_free(record->reason);
    record->reason = g_steal_pointer(&reason);
    if (!saved)
        record->restart_usec = due;
    return saved;
}

void
kh_instance_restart_async(KhInstance *self, const KhStop *how, gint64 timeout_usec,
                          GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    GError *error = NULL;

    g_task_set_source_tag(task, kh_instance_restart_async);
    if (decided(self, KH_OPERATION_RESTART, task))
        return;
    if (kh_instance_has_machine(self) && !intend_restart(self, &error)) {
        g_task_return_error(task, error);
        g_object_unref(task);
        return;
    }
    forgive(self);
    wait_for_ready(self, task,
                   timeout_usec + (kh_instance_has_machine(self) ? stop_budget(self, how) : 0));
    if (kh_instance_has_machine(self)) {
        self->again = TRUE;
        begin_stop(self, how);
    } else {
        kh_instance_begin(self, FALSE);
    }
}

gboolean
kh_instance_start_if_gone(KhInstance *self)
{
    if (!self->seeking || self->record->state == KH_STATE_DELETING)
        return FALSE;
    self->again = TRUE;
    return TRUE;
}

/* A monitor command on its way. */
typedef struct {
    KhRunCommand command;
    gint64 timeout_usec;
} Command;

/*
 * A service that takes over in the middle must not believe that RPC answers: the row of a
 * running machine says "starting" before it is reset. Of a paused one QEMU is asked.
 */
static gboolean
intend_reset(KhInstance *self, GError **error)
{
    KhState before = self->record->state;
    gboolean saved;

    if (before != KH_STATE_RUNNING)
        return TRUE;
    self->record->state = KH_STATE_STARTING;
    saved = kh_instance_save_intent(self, error);
    self->record->state = before;
    kh_crash_point("command:intended");
    return saved;
}

/* The machine boots anew under the same QEMU. */
static void
begin_again(KhInstance *self)
{
    self->started_at = g_get_monotonic_time();
    self->ready_at = 0;
    self->record->started_usec = g_get_real_time();
    self->record->ready_usec = self->record->boot_time_usec = 0;
    kh_instance_set_state(self, KH_STATE_STARTING, "It was reset");
    kh_instance_report(self, "waiting for RPC", 0.5);
}

static void
on_commanded(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhInstance *self = g_task_get_source_object(task);
    const Command *command = g_task_get_task_data(task);
    KhState state = self->record->state;
    GError *error = NULL;
    gboolean done = kh_run_command_finish(KH_RUN(source), result, &error);

    self->commanding = self->resetting = FALSE;
    kh_crash_point("command:done");
    if (!done) {
        if (command->command == KH_RUN_RESET)
            kh_instance_save(self, NULL); /* it goes on as it did */
        g_task_return_error(task, error);
    } else if (state != KH_STATE_RUNNING && state != KH_STATE_PAUSED) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_CANCELLED,
                                "The command came too late: \"%s\" is %s by now",
                                self->record->name, kh_state_name(state));
    } else if (command->command == KH_RUN_RESET) {
        begin_again(self);
        wait_for_ready(self, g_steal_pointer(&task), command->timeout_usec);
    } else {
        (command->command == KH_RUN_PAUSE ? kh_instance_note_paused
                                          : kh_instance_note_resumed)(self->run, self);
        g_task_return_boolean(task, TRUE);
    }
}

static void
command_async(KhInstance *self, KhOperation operation, const Command *what,
              GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    g_autoptr(GError) error = NULL;

    g_task_set_source_tag(task, command_async);
    g_task_set_task_data(task, g_memdup2(what, sizeof *what), g_free);
    if (decided(self, operation, task))
        return;
    if (self->unseen != NULL) {
        g_task_return_error(task, g_error_copy(self->unseen));
        g_object_unref(task);
        return;
    }
    if (self->commanding || self->run == NULL) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_BUSY,
                                "Another command for \"%s\" is in progress; try again",
                                self->record->name);
        g_object_unref(task);
        return;
    }
    if (what->command == KH_RUN_RESET && !intend_reset(self, &error)) {
        g_task_return_error(task, g_steal_pointer(&error));
        g_object_unref(task);
        return;
    }
    self->commanding = TRUE;
    self->resetting = what->command == KH_RUN_RESET;
    kh_run_command_async(self->run, what->command, on_commanded, task);
}

void
kh_instance_reset_async(KhInstance *self, gint64 timeout_usec, GAsyncReadyCallback callback,
                        gpointer user_data)
{
    const Command command = {KH_RUN_RESET, timeout_usec};

    command_async(self, KH_OPERATION_RESET, &command, callback, user_data);
}

void
kh_instance_pause_async(KhInstance *self, GAsyncReadyCallback callback, gpointer user_data)
{
    const Command command = {KH_RUN_PAUSE, 0};

    command_async(self, KH_OPERATION_PAUSE, &command, callback, user_data);
}

void
kh_instance_resume_async(KhInstance *self, GAsyncReadyCallback callback, gpointer user_data)
{
    const Command command = {KH_RUN_RESUME, 0};

    command_async(self, KH_OPERATION_RESUME, &command, callback, user_data);
}

/* FALSE, too, where there is no folder to be marked. */
static gboolean
mark_folder(KhInstance *self)
{
    int instances = kh_state_dir_instances_fd(self->host->state_dir);
    g_autofree char *marked = g_strconcat(self->record->id, KH_DIR_DELETED_SUFFIX, NULL);

    return kh_instance_dir_mark_deleted(instances, self->record->id, NULL) &&
           faccessat(instances, marked, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

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
        !self->record->keep_data && mark_folder(self)) {
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
    if (note_deletion(self, error)) {
        kh_instance_announce(self);
        return TRUE;
    }
    record->state = before;
    record->state_changed_usec = since;
    g_free(record->reason);
    record->reason = g_steal_pointer(&reason);
    record->keep_data = FALSE;
    record->restart_usec = due;
    return FALSE;
}

void
kh_instance_delete_async(KhInstance *self, gboolean force, gboolean keep_data,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);
    KhState before = self->record->state;
    g_autoptr(GError) error = NULL;

    g_task_set_source_tag(task, kh_instance_delete_async);
    if (decided(self, force ? KH_OPERATION_FORCE_DELETE : KH_OPERATION_DELETE, task))
        return;
    if (before == KH_STATE_DELETING && keep_data && !self->record->keep_data) {
        g_task_return_new_error(task, KH_ERROR, KH_ERROR_BUSY,
                                "\"%s\" is already being deleted, and its data with it",
                                self->record->name);
        g_object_unref(task);
        return;
    }
    kh_waiters_add(self->deleters, task, 0, "");
    if (self->cleared)
        kh_instance_remove_row(self);
    if (before == KH_STATE_DELETING)
        return;
    if (!intend_deletion(self, keep_data, &error)) {
        kh_waiters_finish(self->deleters, error);
        return;
    }
    kh_instance_forget_restart(self);
    kh_crash_point("delete:intended");
    if (self->run != NULL)
        kh_run_kill(self->run);
    else if (self->beginning != NULL)
        g_cancellable_cancel(self->beginning);
    else
        kh_instance_doubt(self);
    kh_instance_look_now(self);
    kh_crash_point("delete:begun");
}

gboolean
kh_instance_operation_finish(KhInstance *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

/*
 * The secret keys that were set for the next start, before and by @changes (a{sv}): whether
 * they differ from what the machine runs with is not to be told, as it would tell a caller
 * whether he has guessed it. Transfer full.
 */
static char *
list_secrets(const KhRecord *record, GVariant *changes)
{
    g_auto(GStrv) before = g_strsplit(record->pending_secrets, " ", -1);
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new();
    g_auto(GStrv) all = NULL;

    for (const KhConfigKey *key = kh_config_keys(); key->key != NULL; key++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(changes, key->key, NULL);

        if (kh_config_key_is_secret(key->key) &&
            (value != NULL || g_strv_contains((const char *const *)before, key->key)))
            g_strv_builder_add(keys, key->key);
    }
    all = g_strv_builder_end(keys);
    return g_strjoinv(" ", all);
}

/*
 * @config and @pending (both taken), for which @secrets were set, instead of what there was;
 * back again on failure. @measurement is expected of the later one.
 */
static gboolean
exchange(KhInstance *self, KhConfig *config, KhConfig *pending, const char *secrets,
         const char *measurement, GError **error)
{
    KhRecord *record = self->record;
    g_autofree char *old_measurement = g_strdup(record->measurement);
    g_autofree char *old_next = g_strdup(record->pending_measurement);
    g_autofree char *old_secrets = g_strdup(record->pending_secrets);
    g_autoptr(KhConfig) old_config = g_steal_pointer(&record->config);
    g_autoptr(KhConfig) old_pending = g_steal_pointer(&record->pending);

    record->config = config;
    record->pending = pending;
    if (pending == NULL)
        kh_instance_replace(&record->measurement, measurement);
    kh_instance_replace(&record->pending_measurement, pending == NULL ? "" : measurement);
    kh_instance_replace(&record->pending_secrets, secrets);
    kh_crash_point("set:checked");
    if (kh_store_reconfigure(self->host->store, record, error)) {
        kh_crash_point("set:written");
        return TRUE;
    }
    kh_config_free(config);
    kh_config_free(pending);
    record->config = g_steal_pointer(&old_config);
    record->pending = g_steal_pointer(&old_pending);
    kh_instance_replace(&record->measurement, old_measurement);
    kh_instance_replace(&record->pending_measurement, old_next);
    kh_instance_replace(&record->pending_secrets, old_secrets);
    return FALSE;
}

/* Those keys that a living machine, or a restart that is due, takes at once. */
static void
apply_live_keys(KhInstance *self)
{
    const KhConfig *config = self->record->config;

    if (self->run != NULL)
        kh_launcher_set_cpu_quota(self->host->launcher, self->record->id, config->cpu_quota);
    if (self->restart_timer != 0 && self->record->state == KH_STATE_FAILED &&
        g_str_equal(config->restart_policy, "no")) {
        kh_instance_forget_restart(self);
        kh_instance_set_state(self, KH_STATE_FAILED, self->record->error_message);
    }
}

gboolean
kh_instance_configure(KhInstance *self, KhConfig *config, GVariant *changes,
                      const char *measurement, GError **error)
{
    g_autoptr(KhConfig) wanted = config;
    g_autoptr(KhConfig) now = NULL;
    g_autofree char *secrets = NULL;
    g_auto(GStrv) differences = NULL;

    if (kh_instance_check(self, KH_OPERATION_CONFIGURE, error) == KH_ADMISSION_REFUSE)
        return FALSE;
    if (kh_instance_has_machine(self)) {
        now = kh_config_with_live_keys(self->record->config, wanted);
        differences = kh_config_differences(now, wanted);
        secrets = list_secrets(self->record, changes);
        if (differences[0] == NULL && secrets[0] == '\0')
            g_clear_pointer(&wanted, kh_config_free);
    } else {
        now = g_steal_pointer(&wanted);
        secrets = g_strdup("");
    }
    if (!exchange(self, g_steal_pointer(&now), g_steal_pointer(&wanted), secrets, measurement,
                  error))
        return FALSE;
    apply_live_keys(self);
    g_signal_emit_by_name(self, "changed");
    return TRUE;
}
