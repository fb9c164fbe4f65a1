/* SPDX-License-Identifier: MIT */
/* A virtual machine's processes; see vm.h. */
#include "vm.h"

#include <signal.h>
#include <unistd.h>

#include "error.h"

/* What a shim gets to write its logs after QEMU's end. */
#define SHIM_GRACE_MS 5000

struct _KhVm {
    GObject parent_instance;
    KhProcess shim_process, qemu_process;
    KhProcessHandle *shim; /* NULL: it had ended before */
    KhProcessHandle *qemu;
    guint grace;
};

G_DEFINE_FINAL_TYPE(KhVm, kh_vm, G_TYPE_OBJECT)

enum { SIGNAL_ENDED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_vm_dispose(GObject *object)
{
    KhVm *self = KH_VM(object);

    g_clear_handle_id(&self->grace, g_source_remove);
    if (self->shim != NULL)
        g_signal_handlers_disconnect_by_data(self->shim, self);
    if (self->qemu != NULL)
        g_signal_handlers_disconnect_by_data(self->qemu, self);
    g_clear_object(&self->shim);
    g_clear_object(&self->qemu);
    G_OBJECT_CLASS(kh_vm_parent_class)->dispose(object);
}

static void
kh_vm_class_init(KhVmClass *class)
{
    G_OBJECT_CLASS(class)->dispose = kh_vm_dispose;
    signals[SIGNAL_ENDED] =
        g_signal_new("ended", KH_TYPE_VM, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void
kh_vm_init(KhVm *self)
{
}

static gboolean
on_grace_over(gpointer data)
{
    KhVm *self = data;

    self->grace = 0;
    kh_process_handle_signal(self->shim, SIGKILL);
    return G_SOURCE_REMOVE;
}

static gboolean
has_ended(KhProcessHandle *handle)
{
    return handle == NULL || kh_process_handle_has_ended(handle);
}

/* Of two, one outlives the other: the shim only for its logs, QEMU not at all. */
static void
follow_up(KhVm *self)
{
    if (has_ended(self->shim)) {
        /* PR_SET_PDEATHSIG has done it; this is for a kernel that has not. */
        kh_process_handle_signal(self->qemu, SIGKILL);
    } else {
        self->grace = g_timeout_add(SHIM_GRACE_MS, on_grace_over, self);
    }
}

gboolean
kh_vm_has_ended(KhVm *self)
{
    return has_ended(self->shim) && has_ended(self->qemu);
}

static void
on_process_ended(KhProcessHandle *handle, KhVm *self)
{
    if (!kh_vm_has_ended(self)) {
        follow_up(self);
        return;
    }
    g_clear_handle_id(&self->grace, g_source_remove);
    g_signal_emit(self, signals[SIGNAL_ENDED], 0);
}

/* FALSE when it could not be looked at; TRUE without a handle when it is known to be gone. */
static gboolean
open_process(KhVm *self, const KhProcess *process, KhProcessHandle **handle, GError **error)
{
    g_autoptr(GError) reason = NULL;

    *handle = kh_process_handle_open(process, &reason);
    if (*handle != NULL)
        g_signal_connect(*handle, "ended", G_CALLBACK(on_process_ended), self);
    if (*handle != NULL || g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

/* One that has ended since it was opened is let be: its signal says so, and the other counts. */
static gboolean
is_owned(KhProcessHandle *handle, guint32 uid, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (handle == NULL || kh_process_handle_check_owner(handle, uid, &reason) ||
        g_error_matches(reason, KH_ERROR, KH_ERROR_NOT_FOUND))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&reason));
    return FALSE;
}

/* @uid: whose both must be; NULL where that is known. */
static KhVm *
open_both(const KhProcess *shim, const KhProcess *qemu, const guint32 *uid, GError **error)
{
    g_autoptr(KhVm) self = g_object_new(KH_TYPE_VM, NULL);

    self->shim_process = *shim;
    self->qemu_process = *qemu;
    /* Whoever took a process for gone that was not seen would end the other one for it. */
    if (!open_process(self, shim, &self->shim, error) ||
        !open_process(self, qemu, &self->qemu, error))
        return NULL;
    if (self->shim == NULL && self->qemu == NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_FOUND,
                    "Processes %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT " have ended", shim->pid,
                    qemu->pid);
        return NULL;
    }
    if (uid != NULL && (!is_owned(self->shim, *uid, error) || !is_owned(self->qemu, *uid, error)))
        return NULL;
    if (self->shim == NULL || self->qemu == NULL)
        follow_up(self);
    return g_steal_pointer(&self);
}

KhVm *
kh_vm_new(const KhProcess *shim, const KhProcess *qemu, GError **error)
{
    return open_both(shim, qemu, NULL, error);
}

KhVm *
kh_vm_follow(const KhProcess *shim, const KhProcess *qemu, gint64 uid, GError **error)
{
    const guint32 owner = uid < 0 ? geteuid() : (guint32)uid;

    return open_both(shim, qemu, &owner, error);
}

const KhProcess *
kh_vm_get_shim(KhVm *self)
{
    return &self->shim_process;
}

const KhProcess *
kh_vm_get_qemu(KhVm *self)
{
    return &self->qemu_process;
}

gboolean
kh_vm_terminate(KhVm *self)
{
    return !has_ended(self->shim) && kh_process_handle_signal(self->shim, SIGTERM);
}

void
kh_vm_kill(KhVm *self)
{
    if (self->qemu != NULL)
        kh_process_handle_signal(self->qemu, SIGKILL);
}
