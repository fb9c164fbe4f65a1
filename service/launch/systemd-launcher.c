/* SPDX-License-Identifier: MIT */
/* The shim as a transient unit; see systemd-launcher.h. */
#include "systemd-launcher.h"

#include <signal.h>
#include <string.h>

#include "error.h"
#include "identity.h"
#include "journal.h"
#include "shim-finder.h"
#include "shim-protocol.h"
#include "systemd-bus.h"
#include "unit-properties.h"

/* Above systemd's own deadlines, which are told more clearly. */
#define MARGIN_S 15
#define START_MS ((KH_UNIT_START_TIMEOUT + MARGIN_S) * 1000)
#define TOOL_MS ((KH_UNIT_TOOL_TIMEOUT + MARGIN_S) * 1000)
/* A unit dies some milliseconds after its processes. */
#define RELEASE_GRACE_MS 5000

struct _KhSystemdLauncher {
    GObject parent_instance;
    char *shim;
    KhLimitKinds limits;
    KhUnitManager manager;
    KhSystemdBus *bus;
    guint patience_ms; /* no wait is longer */
};

static void kh_systemd_launcher_iface_init(KhLauncherInterface *iface);

G_DEFINE_FINAL_TYPE_WITH_CODE(KhSystemdLauncher, kh_systemd_launcher, G_TYPE_OBJECT,
                              G_IMPLEMENT_INTERFACE(KH_TYPE_LAUNCHER,
                                                    kh_systemd_launcher_iface_init))

static void
kh_systemd_launcher_finalize(GObject *object)
{
    KhSystemdLauncher *self = KH_SYSTEMD_LAUNCHER(object);

    g_free(self->shim);
    g_clear_object(&self->bus);
    G_OBJECT_CLASS(kh_systemd_launcher_parent_class)->finalize(object);
}

static void
kh_systemd_launcher_class_init(KhSystemdLauncherClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_systemd_launcher_finalize;
}

static void
kh_systemd_launcher_init(KhSystemdLauncher *self)
{
}

/*
 * systemd takes limits in any case; the kernel holds to them in the unified hierarchy only, and
 * to those whose controllers systemd itself has: a user's has what was delegated to it.
 */
static KhLimitKinds
find_limits(const char *control_group)
{
    g_autofree char *path =
        g_build_filename("/sys/fs/cgroup", control_group, "cgroup.controllers", NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) offered = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return KH_LIMIT_NONE;
    offered = g_strsplit(g_strchomp(text), " ", -1);
    return (g_strv_contains((const char *const *)offered, "memory") ? KH_LIMIT_MEMORY : 0) |
           (g_strv_contains((const char *const *)offered, "cpu") ? KH_LIMIT_CPU : 0);
}

KhLauncher *
kh_systemd_launcher_new(const char *shim, const char *address, const char *control_group,
                        guint patience_ms)
{
    KhSystemdLauncher *self = g_object_new(KH_TYPE_SYSTEMD_LAUNCHER, NULL);

    self->shim = g_strdup(shim);
    self->limits = find_limits(control_group);
    self->manager = address == NULL ? KH_UNIT_MANAGER_SYSTEM : KH_UNIT_MANAGER_USER;
    self->bus = kh_systemd_bus_new(address);
    self->patience_ms = patience_ms;
    return KH_LAUNCHER(self);
}

static KhLimitKinds
get_limits(KhLauncher *launcher)
{
    return KH_SYSTEMD_LAUNCHER(launcher)->limits;
}

static char *
unit_of(const char *id)
{
    return g_strdup_printf("katana-vm-%s.service", id);
}

/* --- launch -------------------------------------------------------------------------- */

/* One call about a unit. */
typedef struct {
    char *unit;
    char *id;
    KhMachineRef ref; /* of the machine; zeros for a tool */
    GError *error;    /* while a unit that came to nothing is being ended */
} Call;

static void
call_free(gpointer data)
{
    Call *call = data;

    g_free(call->unit);
    g_free(call->id);
    g_clear_error(&call->error);
    g_free(call);
}

/* @ref: NULL for a tool. */
static Call *
call_new(char *unit, const KhMachineRef *ref)
{
    Call *call = g_new0(Call, 1);

    call->unit = unit;
    if (ref == NULL)
        return call;
    call->id = g_strdup(ref->id);
    call->ref = *ref;
    call->ref.id = call->id;
    return call;
}

/* A unit of this name with another program in it, or none that can be seen, is not ours. */
static KhIdentity
identity_of_unit(const KhUnitState *state, const Call *call, GError **error)
{
    g_autoptr(GError) reason = NULL;
    KhIdentity found = KH_IDENTITY_UNKNOWN;

    if (state->main_pid == 0)
        g_set_error(&reason, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The unit %s is %s and has no main process", call->unit, state->active_state);
    else
        found = kh_identity_of(&call->ref, state->main_pid, &reason);
    /* Until the program is executed, it is systemd's own. */
    if (found == KH_IDENTITY_OTHER && !g_str_equal(state->active_state, "activating")) {
        reason->code = KH_ERROR_NOT_AUTHORIZED;
        found = KH_IDENTITY_FOREIGN;
    }
    if (reason != NULL)
        g_propagate_error(error, g_steal_pointer(&reason));
    return found;
}

static gboolean
is_owned(const KhUnitState *state, gpointer data, GError **error)
{
    return identity_of_unit(state, data, error) == KH_IDENTITY_OURS;
}

/* Why a unit has not come up that says nothing itself: its sandbox, its program, systemd. */
static GError *
describe_failure(const KhUnitState *state, const char *unit)
{
    if (g_str_equal(state->result, "timeout"))
        return g_error_new(KH_ERROR, KH_ERROR_TIMED_OUT, "The shim did not start QEMU within %d s",
                           KH_UNIT_START_TIMEOUT);
    return g_error_new(
        KH_ERROR, KH_ERROR_LAUNCH_FAILED,
        "systemd could not start %s (%s, %s %d); the journal of that unit may say why", unit,
        state->result, state->exit_code == CLD_EXITED ? "code" : "signal", state->exit_status);
}

/* An answer that was lost may have said that the unit is there already: another's. */
static KhVm *
read_status(const KhUnitState *state, const Call *call, GError **error)
{
    if (!g_str_has_prefix(state->status_text, KH_READY_PREFIX) &&
        !g_str_has_prefix(state->status_text, KH_ERROR_PREFIX)) {
        g_propagate_error(error, describe_failure(state, call->unit));
        return NULL;
    }
    if (!kh_unit_state_is_dead(state) &&
        identity_of_unit(state, call, error) == KH_IDENTITY_FOREIGN)
        return NULL;
    g_clear_error(error);
    return kh_launcher_read_ready_line(state->status_text, call->ref.uid, state->main_pid, error);
}

/* Nothing is concluded before: a machine whose end is not known may have its disk open. */
static void
on_dead(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Call *call = g_task_get_task_data(task);
    g_autoptr(GError) foreign = NULL;
    g_autoptr(KhUnitState) state = kh_systemd_bus_finish(KH_SYSTEMD_BUS(source), result, &foreign);

    if (state != NULL)
        kh_systemd_bus_release(KH_SYSTEMD_BUS(source), call->unit);
    else
        g_message("%s is not touched. %s", call->unit, foreign->message);
    if (call->error != NULL)
        g_task_return_error(task, g_steal_pointer(&call->error));
    else
        g_task_return_boolean(task, state != NULL && g_str_equal(state->result, "oom-kill"));
}

/* Takes @task. */
static void
end_unit(GTask *task, guint grace_ms)
{
    KhSystemdLauncher *self = g_task_get_source_object(task);
    Call *call = g_task_get_task_data(task);

    kh_systemd_bus_end_async(self->bus, call->unit, is_owned, call,
                             MIN(grace_ms, self->patience_ms), on_dead, task);
}

/*
 * Gives @error, which this takes as it takes @task, when nothing runs any more: what is not
 * followed must not run on. @state: NULL if not known.
 */
static void
fail_when_dead(GTask *task, const KhUnitState *state, GError *error)
{
    KhSystemdLauncher *self = g_task_get_source_object(task);
    Call *call = g_task_get_task_data(task);

    if (state == NULL || !kh_unit_state_is_dead(state)) {
        call->error = error;
        end_unit(task, 0);
        return;
    }
    kh_systemd_bus_release(self->bus, call->unit);
    g_task_return_error(task, error);
    g_object_unref(task);
}

static void
on_launched(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhSystemdLauncher *self = g_task_get_source_object(task);
    Call *call = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(KhUnitState) state = kh_systemd_bus_finish(KH_SYSTEMD_BUS(source), result, &error);
    KhVm *vm = state == NULL ? NULL : read_status(state, call, &error);

    if (vm != NULL) {
        /* systemd-machined is the system's. */
        if (self->manager == KH_UNIT_MANAGER_SYSTEM)
            kh_systemd_bus_register(self->bus, call->id, (guint32)kh_vm_get_shim(vm)->pid);
        g_task_return_pointer(task, vm, g_object_unref);
        return;
    }
    /*
     * What was refused was not started. What has lived is released by the instance, which
     * asks how it has died.
     */
    if (state == NULL ? g_error_matches(error, KH_ERROR, KH_ERROR_LAUNCH_FAILED)
                      : g_error_matches(error, KH_ERROR, KH_ERROR_NOT_FOUND))
        g_task_return_error(task, error);
    else
        fail_when_dead(g_steal_pointer(&task), state, error);
}

static void
launch_async(KhLauncher *launcher, const KhLaunchSpec *launch, GAsyncReadyCallback callback,
             gpointer user_data)
{
    KhSystemdLauncher *self = KH_SYSTEMD_LAUNCHER(launcher);
    GTask *task = g_task_new(self, NULL, callback, user_data);
    const KhMachineRef ref = {.id = launch->id,
                              .instances_fd = launch->instances_fd,
                              .runtime_fd = launch->runtime_fd,
                              .uid = launch->uid};
    Call *call = call_new(unit_of(launch->id), &ref);

    g_task_set_source_tag(task, launch_async);
    g_task_set_task_data(task, call, call_free);
    kh_systemd_bus_start_async(self->bus, call->unit,
                               kh_unit_properties_of_machine(self->manager, self->shim, launch),
                               is_owned, call, MIN(START_MS, self->patience_ms), on_launched, task);
}

/* --- recover ------------------------------------------------------------------------- */

/* What its shim says of QEMU is the shortest way, and not believed against what is seen. */
static KhVm *
follow_unit(const KhUnitState *state, const Call *call, GError **error)
{
    g_autoptr(GError) reason = NULL;
    KhVm *vm;

    if (!g_str_has_prefix(state->status_text, KH_READY_PREFIX))
        return kh_shim_finder_follow_shim(&call->ref, state->main_pid, error);
    vm = kh_launcher_read_ready_line(state->status_text, call->ref.uid, state->main_pid, &reason);
    if (g_error_matches(reason, KH_ERROR, KH_ERROR_LAUNCH_FAILED))
        return kh_shim_finder_follow_shim(&call->ref, state->main_pid, error);
    if (reason != NULL)
        g_propagate_error(error, g_steal_pointer(&reason));
    return vm;
}

/* One that runs, or that is stopping and is to be followed to its end. */
static KhVm *
recover_vm(KhSystemdLauncher *self, const KhUnitState *state, Call *call, GError **error)
{
    /* Started by the other launcher, or not at all. */
    if (kh_unit_state_is_dead(state))
        return kh_shim_finder_find(&call->ref, error);
    if (!is_owned(state, call, error))
        return NULL;
    kh_systemd_bus_hold(self->bus, call->unit);
    return follow_unit(state, call, error);
}

static void on_recovered(GObject *source, GAsyncResult *result, gpointer data);

/* Takes @task. */
static void
look_for_unit(KhSystemdLauncher *self, GTask *task)
{
    Call *call = g_task_get_task_data(task);

    kh_systemd_bus_settle_async(self->bus, call->unit, MIN(START_MS, self->patience_ms),
                                on_recovered, task);
}

/* Not to hear of a unit is not to know that it is dead: it is asked again. */
static void
on_recovered(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    KhSystemdLauncher *self = g_task_get_source_object(task);
    Call *call = g_task_get_task_data(task);
    g_autoptr(GError) unknown = NULL;
    GError *error = NULL;
    g_autoptr(KhUnitState) state = kh_systemd_bus_finish(KH_SYSTEMD_BUS(source), result, &unknown);
    KhVm *vm = NULL;

    if (state == NULL) {
        kh_journal_log(G_LOG_LEVEL_WARNING, &(KhSubject){.id = call->id, .caller = -1},
                       "It is not known yet whether %s is running: %s", call->unit,
                       unknown->message);
        look_for_unit(self, g_steal_pointer(&task));
        return;
    }
    vm = recover_vm(self, state, call, &error);
    if (vm != NULL)
        g_task_return_pointer(task, vm, g_object_unref);
    else
        g_task_return_error(task, error); /* what is left is ended by a release */
}

static void
recover_async(KhLauncher *launcher, const KhMachineRef *ref, GAsyncReadyCallback callback,
              gpointer user_data)
{
    KhSystemdLauncher *self = KH_SYSTEMD_LAUNCHER(launcher);
    GTask *task = g_task_new(self, NULL, callback, user_data);
    Call *call = call_new(unit_of(ref->id), ref);

    g_task_set_source_tag(task, recover_async);
    g_task_set_task_data(task, call, call_free);
    look_for_unit(self, task);
}

/* --- release and limits -------------------------------------------------------------- */

static void
release_async(KhLauncher *launcher, const KhMachineRef *ref, GAsyncReadyCallback callback,
              gpointer user_data)
{
    KhSystemdLauncher *self = KH_SYSTEMD_LAUNCHER(launcher);
    GTask *task = g_task_new(self, NULL, callback, user_data);
    Call *call = call_new(unit_of(ref->id), ref);

    g_task_set_source_tag(task, release_async);
    g_task_set_task_data(task, call, call_free);
    end_unit(task, RELEASE_GRACE_MS);
}

static void
set_cpu_quota(KhLauncher *launcher, const char *id, guint percent)
{
    g_autofree char *unit = unit_of(id);

    kh_systemd_bus_set(KH_SYSTEMD_LAUNCHER(launcher)->bus, unit,
                       kh_unit_properties_of_quota(percent));
}

/* --- tools --------------------------------------------------------------------------- */

/* @state: NULL if not known. */
static void
let_go(KhSystemdLauncher *self, const KhUnitState *state, const char *unit)
{
    if (state == NULL || !kh_unit_state_is_dead(state))
        kh_systemd_bus_stop(self->bus, unit);
    kh_systemd_bus_release(self->bus, unit);
}

static void
on_tool_ended(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Call *call = g_task_get_task_data(task);
    GError *error = NULL;
    g_autoptr(KhUnitState) state = kh_systemd_bus_finish(KH_SYSTEMD_BUS(source), result, &error);

    let_go(g_task_get_source_object(task), state, call->unit);
    if (state == NULL)
        g_task_return_error(task, error);
    else if (g_str_equal(state->result, "success"))
        g_task_return_boolean(task, TRUE);
    else if (g_str_has_prefix(state->status_text, KH_ERROR_PREFIX))
        g_task_return_error(task,
                            kh_launcher_tool_error(state->status_text + strlen(KH_ERROR_PREFIX)));
    else
        g_task_return_error(task, describe_failure(state, call->unit));
}

static void
run_tool_async(KhLauncher *launcher, const char *const *args, GAsyncReadyCallback callback,
               gpointer user_data)
{
    KhSystemdLauncher *self = KH_SYSTEMD_LAUNCHER(launcher);
    GTask *task = g_task_new(self, NULL, callback, user_data);
    g_autofree char *id = g_uuid_string_random();
    Call *call = call_new(g_strdup_printf("katana-tool-%s.service", id), NULL);

    g_task_set_source_tag(task, run_tool_async);
    g_task_set_task_data(task, call, call_free);
    kh_systemd_bus_start_async(self->bus, call->unit,
                               kh_unit_properties_of_tool(self->manager, self->shim, args), NULL,
                               NULL, MIN(TOOL_MS, self->patience_ms), on_tool_ended, task);
}

static void
kh_systemd_launcher_iface_init(KhLauncherInterface *iface)
{
    iface->name = "systemd";
    iface->group_suffix = ".service";
    iface->get_limits = get_limits;
    iface->launch_async = launch_async;
    iface->recover_async = recover_async;
    iface->release_async = release_async;
    iface->set_cpu_quota = set_cpu_quota;
    iface->run_tool_async = run_tool_async;
}
