/* SPDX-License-Identifier: MIT */
/*
 * An instance's record and state; see instance.h, and instance-private.h for its other parts.
 * Every change of state goes through kh_instance_enter_state(), which saves and announces it,
 * before the step that it names is taken.
 */
#include "instance-private.h"

#include "error.h"
#include "log/instance-log.h"
#include "machine/start-up.h"
#include "model/katana-args.h"
#include "state/instance-dir.h"

/* Of an error that is kept, in bytes: 10,000 of them fit in one message of the bus. */
#define MESSAGE_MAX 400

G_DEFINE_FINAL_TYPE(KhInstance, kh_instance, G_TYPE_OBJECT)

enum { SIGNAL_CHANGED, SIGNAL_GONE, N_SIGNALS };

static guint signals[N_SIGNALS];

/* What it waits for may hold it still. */
static void
drop_run(KhInstance *self)
{
    if (self->run == NULL)
        return;
    g_signal_handlers_disconnect_by_data(self->run, self);
    g_object_run_dispose(G_OBJECT(self->run));
    g_clear_object(&self->run);
}

/* The service is ending: who waits is told so, and the operation goes on where it can. */
static void
drop_jobs(KhInstance *self)
{
    g_autoptr(GError) error =
        g_error_new(KH_ERROR, KH_ERROR_CANCELLED, "The service is shutting down");
    KhLifecycle current = kh_instance_take_job(self), next = kh_instance_take_job(self);

    self->changes = 0;
    kh_instance_end_job(self, &current, error);
    kh_instance_end_job(self, &next, error);
    kh_instance_end_overtaken_jobs(self);
}

static void
kh_instance_dispose(GObject *object)
{
    KhInstance *self = KH_INSTANCE(object);

    drop_run(self);
    g_clear_handle_id(&self->restart_timer, g_source_remove);
    kh_instance_forget_unseen(self);
    kh_instance_forget_unsaved(self);
    drop_jobs(self);
    G_OBJECT_CLASS(kh_instance_parent_class)->dispose(object);
}

static void
kh_instance_finalize(GObject *object)
{
    g_array_unref(KH_INSTANCE(object)->overtaken);
    kh_record_unref(KH_INSTANCE(object)->record);
    G_OBJECT_CLASS(kh_instance_parent_class)->finalize(object);
}

static void
kh_instance_class_init(KhInstanceClass *class)
{
    GType type = KH_TYPE_INSTANCE;

    G_OBJECT_CLASS(class)->dispose = kh_instance_dispose;
    G_OBJECT_CLASS(class)->finalize = kh_instance_finalize;
    signals[SIGNAL_CHANGED] = g_signal_new("changed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                           G_TYPE_NONE, 1, G_TYPE_UINT);
    signals[SIGNAL_GONE] =
        g_signal_new("gone", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_instance_init(KhInstance *self)
{
    self->overtaken = g_array_new(FALSE, FALSE, sizeof(KhLifecycle));
}

KhInstance *
kh_instance_new(const KhMachines *machines, KhStore *store, KhJobs *jobs, KhShutdown *shutdown,
                KhRecord *record)
{
    KhInstance *self = g_object_new(KH_TYPE_INSTANCE, NULL);

    self->machines = machines;
    self->store = store;
    self->jobs = jobs;
    self->shutdown = shutdown;
    self->record = record;
    return self;
}

void
kh_instance_replace(char **field, const char *text)
{
    char *copy = g_strdup(text);

    g_free(*field);
    *field = copy;
}

void
kh_instance_touch(KhInstance *self, KhAspects aspects)
{
    self->changes |= aspects;
}

void
kh_instance_tell(KhInstance *self)
{
    const KhAspects changes = self->changes;

    self->changes = 0;
    if (changes != 0)
        g_signal_emit(self, signals[SIGNAL_CHANGED], 0, changes);
}

void
kh_instance_emit_gone(KhInstance *self)
{
    self->gone = TRUE;
    g_signal_emit(self, signals[SIGNAL_GONE], 0);
}

void
kh_instance_announce(KhInstance *self)
{
    const char *reason = self->record->reason;

    kh_log_instance(self->record, G_LOG_LEVEL_MESSAGE, "%s%s%s", kh_state_name(self->record->state),
                    reason[0] != '\0' ? ": " : "", reason);
    kh_instance_touch(self, KH_ASPECT_STATE);
    kh_instance_tell(self);
}

gboolean
kh_instance_enter_state(KhInstance *self, KhState state, const char *reason, GError **error)
{
    gboolean saved;

    kh_record_set_state(self->record, state);
    kh_instance_replace(&self->record->reason, reason);
    saved = kh_instance_save(self, error);
    kh_instance_announce(self);
    return saved;
}

void
kh_instance_set_state(KhInstance *self, KhState state, const char *reason)
{
    kh_instance_enter_state(self, state, reason, NULL);
}

void
kh_instance_set_last_error(KhInstance *self, const GError *error)
{
    g_autofree char *message = kh_text_sanitize(error == NULL ? "" : error->message, MESSAGE_MAX);

    kh_instance_replace(&self->record->error_name, error == NULL ? "" : kh_error_name(error->code));
    kh_instance_replace(&self->record->error_message, message);
}

void
kh_instance_redact(KhInstance *self, GError *error)
{
    char *text = kh_config_redact(self->record->config, error->message);

    g_free(error->message);
    error->message = text;
}

guint
kh_instance_default_stop_ms(KhInstance *self)
{
    return self->machines->settings->stop_timeout * 1000;
}

const KhRecord *
kh_instance_get_record(KhInstance *self)
{
    return self->record;
}

guint32
kh_instance_get_main_pid(KhInstance *self)
{
    return self->run == NULL ? 0 : (guint32)self->record->qemu.pid;
}

const char *
kh_instance_get_accelerator(KhInstance *self)
{
    const char *wanted = self->record->config->accelerator;

    /* Nothing else protects it; a host without is told of at its start. */
    if (self->record->config->tee && !kh_instance_is_simulated(self))
        return "kvm";
    return g_str_equal(wanted, "auto") ? self->machines->facts->accelerator : wanted;
}

gboolean
kh_instance_is_simulated(KhInstance *self)
{
    if (kh_instance_has_machine(self))
        return self->record->simulated;
    return self->record->config->tee && self->machines->settings->simulate_tee;
}

guint64
kh_instance_get_memory_limit(KhInstance *self)
{
    return kh_start_up_memory_max(self->record->config, kh_instance_get_accelerator(self));
}

char **
kh_instance_get_portable_command(KhInstance *self)
{
    return kh_start_up_describe(self->machines, self->record, kh_instance_get_accelerator(self),
                                kh_instance_is_simulated(self));
}

int
kh_instance_open_folder(KhInstance *self, GError **error)
{
    return kh_instance_dir_open(kh_state_dir_instances_fd(self->machines->state_dir),
                                self->record->id, error);
}
