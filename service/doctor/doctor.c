/* SPDX-License-Identifier: MIT */
/* All checks of the host; see doctor.h. */
#include "doctor.h"

#include "boot-parts.h"
#include "boot-start.h"
#include "kvm.h"
#include "memory.h"
#include "own-state.h"
#include "processor.h"
#include "qemu-probe.h"
#include "service-place.h"
#include "snp.h"
#include "verdict.h"

/* For each of three questions; a loaded host is slow to load QEMU. */
#define QEMU_TIMEOUT_MS 10000

struct _KhDoctor {
    GObject parent_instance;
    GPtrArray *waiting; /* of GTask; not empty while a round is under way */
    KhCheckContext *context;
    KhFindings *findings; /* of the thread; NULL: it is at work */
    KhQemuFacts *qemu;    /* NULL: it is asked */
    KhUnitFile unit_file; /* of the service */
    gboolean unit_known;  /* FALSE: systemd is asked */
};

G_DEFINE_FINAL_TYPE(KhDoctor, kh_doctor, G_TYPE_OBJECT)

static void
clear_round(KhDoctor *self)
{
    g_clear_pointer(&self->context, kh_check_context_free);
    g_clear_pointer(&self->findings, g_ptr_array_unref);
    g_clear_pointer(&self->qemu, kh_qemu_facts_free);
    self->unit_known = FALSE;
}

static void
kh_doctor_finalize(GObject *object)
{
    KhDoctor *self = KH_DOCTOR(object);

    clear_round(self);
    g_ptr_array_unref(self->waiting);
    G_OBJECT_CLASS(kh_doctor_parent_class)->finalize(object);
}

static void
kh_doctor_class_init(KhDoctorClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_doctor_finalize;
}

static void
kh_doctor_init(KhDoctor *self)
{
    self->waiting = g_ptr_array_new_with_free_func(g_object_unref);
}

KhDoctor *
kh_doctor_new(void)
{
    return g_object_new(KH_TYPE_DOCTOR, NULL);
}

static void
check_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    KhCheckContext *context = data;
    KhFindings *findings = kh_findings_new();
    KhKvmFacts kvm;

    kh_check_context_load(context);
    if (context->unreachable != NULL) {
        kh_findings_add(findings, "service", KH_FINDING_FAIL, "%s", context->unreachable);
        kh_findings_mend(findings, "%s", context->unreachable_remedy);
    }
    kh_processor_check(context, findings);
    kh_kvm_probe(context, &kvm);
    kh_kvm_judge(context, &kvm, findings);
    kh_snp_check(context, findings);
    kh_boot_parts_check(context, findings);
    kh_service_place_check(context, findings);
    kh_own_state_check(context, findings);
    kh_memory_check(context, findings);
    g_task_return_pointer(task, findings, (GDestroyNotify)g_ptr_array_unref);
}

/* Once all three are there. The list is emptied first: an answer may bring the next question. */
static void
answer(KhDoctor *self)
{
    g_autoptr(GPtrArray) waiting = NULL;
    g_autoptr(GPtrArray) findings = NULL;

    if (self->findings == NULL || self->qemu == NULL || !self->unit_known)
        return;
    kh_qemu_judge(self->context, self->qemu, self->findings);
    kh_boot_start_judge(self->context, self->unit_file, self->findings);
    kh_verdict_add(self->findings);
    waiting = g_steal_pointer(&self->waiting);
    findings = g_steal_pointer(&self->findings);
    self->waiting = g_ptr_array_new_with_free_func(g_object_unref);
    clear_round(self);
    for (guint i = 0; i < waiting->len; i++)
        g_task_return_pointer(waiting->pdata[i], g_ptr_array_ref(findings),
                              (GDestroyNotify)g_ptr_array_unref);
}

static void
on_checked(GObject *source, GAsyncResult *result, gpointer data)
{
    KhDoctor *self = KH_DOCTOR(source);

    self->findings = g_task_propagate_pointer(G_TASK(result), NULL);
    answer(self);
}

static void
on_probed(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhDoctor) self = data;

    self->qemu = kh_qemu_probe_finish(result);
    answer(self);
}

static void
on_unit_file(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhDoctor) self = data;

    self->unit_file = kh_unit_file_ask_finish(result);
    self->unit_known = TRUE;
    answer(self);
}

static void
await_findings(KhDoctor *self, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(self, NULL, callback, user_data);

    g_task_set_source_tag(task, kh_doctor_check_async);
    g_ptr_array_add(self->waiting, task);
}

gboolean
kh_doctor_join_async(KhDoctor *self, GAsyncReadyCallback callback, gpointer user_data)
{
    if (self->waiting->len == 0)
        return FALSE;
    await_findings(self, callback, user_data);
    return TRUE;
}

void
kh_doctor_check_async(KhDoctor *self, KhCheckContext *context, GDBusConnection *bus,
                      GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) work = NULL;

    if (kh_doctor_join_async(self, callback, user_data)) {
        kh_check_context_free(context);
        return;
    }
    await_findings(self, callback, user_data);
    self->context = context;
    work = g_task_new(self, NULL, on_checked, NULL);
    g_task_set_task_data(work, context, NULL);
    g_task_run_in_thread(work, check_in_thread);
    kh_qemu_probe_async(context->qemu, QEMU_TIMEOUT_MS, on_probed, g_object_ref(self));
    kh_unit_file_ask_async(bus, on_unit_file, g_object_ref(self));
}

KhFindings *
kh_doctor_check_finish(KhDoctor *self, GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}
