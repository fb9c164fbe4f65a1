/* SPDX-License-Identifier: MIT */
/* A virtual machine's processes; see vm.h. */
#include "vm.h"

#include <signal.h>

/* What a shim gets to write its logs after QEMU's end. */
#define SHIM_GRACE_MS 5000

struct _KhVm {
    GObject parent_instance;
    KhProcessHandle *shim;
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

static void
on_process_ended(KhProcessHandle *handle, KhVm *self)
{
    gboolean qemu_ended = kh_process_handle_has_ended(self->qemu);

    if (handle == self->shim && !qemu_ended) {
        /* PR_SET_PDEATHSIG has done it; this is for a kernel that has not. */
        kh_process_handle_signal(self->qemu, SIGKILL);
    } else if (!kh_process_handle_has_ended(self->shim)) {
        self->grace = g_timeout_add(SHIM_GRACE_MS, on_grace_over, self);
    } else {
        g_clear_handle_id(&self->grace, g_source_remove);
        g_signal_emit(self, signals[SIGNAL_ENDED], 0);
    }
}

KhVm *
kh_vm_new(const KhProcess *shim, const KhProcess *qemu, GError **error)
{
    g_autoptr(KhVm) self = g_object_new(KH_TYPE_VM, NULL);

    self->shim = kh_process_handle_open(shim, error);
    if (self->shim == NULL)
        return NULL;
    self->qemu = kh_process_handle_open(qemu, error);
    if (self->qemu == NULL)
        return NULL;
    g_signal_connect(self->shim, "ended", G_CALLBACK(on_process_ended), self);
    g_signal_connect(self->qemu, "ended", G_CALLBACK(on_process_ended), self);
    return g_steal_pointer(&self);
}

const KhProcess *
kh_vm_get_shim(KhVm *self)
{
    return kh_process_handle_get_process(self->shim);
}

const KhProcess *
kh_vm_get_qemu(KhVm *self)
{
    return kh_process_handle_get_process(self->qemu);
}

void
kh_vm_kill(KhVm *self)
{
    kh_process_handle_signal(self->qemu, SIGKILL);
}
