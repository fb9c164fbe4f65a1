/* SPDX-License-Identifier: MIT */
/* Chain, certificate and list, one after the other; see key-fetch.h. */
#include "key-fetch.h"

#include <string.h>

#include "error.h"

#define STEPS_MAX 3

typedef struct {
    KhKeyTrust *trust;
    KhKeyItem items[STEPS_MAX]; /* the chain first: the others are verified by it */
    guint n_items;
    guint next;
    gboolean kept;  /* the chain came from the cache */
    gboolean again; /* it has been asked for once more */
    KhKeyFetch *result;
} Fetch;

static void ask_next(GTask *task);

void
kh_key_fetch_free(KhKeyFetch *self)
{
    g_clear_pointer(&self->crl, g_bytes_unref);
    g_ptr_array_unref(self->troubles);
    g_free(self);
}

static void
fetch_free(gpointer data)
{
    Fetch *fetch = data;

    g_clear_pointer(&fetch->result, kh_key_fetch_free);
    g_free(fetch);
}

/*
 * Whether the list revokes the chain that was kept: AMD may have made another intermediate in
 * its place, and is asked once more. The list stays, whatever comes of that.
 */
static gboolean
is_outlived(Fetch *fetch, KhKeyService *service, GBytes *crl)
{
    return fetch->kept && !fetch->again && !kh_key_service_is_offline(service) &&
           kh_key_trust_is_revoked(fetch->trust, &fetch->items[0], crl);
}

/* From the chain on; @fresh: not by the one that is kept. */
static void
begin(Fetch *fetch, gboolean fresh)
{
    fetch->again = TRUE;
    fetch->items[0].fresh = fresh;
    fetch->next = 0;
    kh_key_trust_forget(fetch->trust);
}

/* Without the chain nothing else of the service's can be verified; C8 verifies a list itself. */
static void
end_without_chain(Fetch *fetch, KhKeyService *service)
{
    const KhKeyItem *last = &fetch->items[fetch->n_items - 1];

    fetch->next = fetch->n_items;
    if (fetch->result->crl == NULL && kh_key_kind_is_crl(last->kind))
        fetch->result->crl = kh_key_service_peek(service, last);
}

static void
take(Fetch *fetch, KhKeyService *service, const KhKeyItem *item, GBytes *bytes, KhKeyOrigin origin)
{
    if (item == &fetch->items[0])
        fetch->kept = origin == KH_KEY_FROM_CACHE;
    if (!kh_key_kind_is_crl(item->kind))
        return;
    g_clear_pointer(&fetch->result->crl, g_bytes_unref);
    fetch->result->crl = g_bytes_ref(bytes);
    if (is_outlived(fetch, service, bytes))
        begin(fetch, TRUE);
}

static void
on_got(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Fetch *fetch = g_task_get_task_data(task);
    const KhKeyItem *item = &fetch->items[fetch->next++];
    KhKeyService *service = KH_KEY_SERVICE(source);
    g_autoptr(GError) failure = NULL;
    KhKeyOrigin origin;
    g_autoptr(GBytes) bytes = kh_key_service_get_finish(service, result, &origin, &failure);

    if (g_task_return_error_if_cancelled(task))
        return;
    if (bytes != NULL)
        take(fetch, service, item, bytes, origin);
    else
        g_ptr_array_add(fetch->result->troubles, g_strdup(failure->message));
    if (bytes == NULL && item == &fetch->items[0]) {
        if (item->fresh)
            begin(fetch, FALSE);
        else
            end_without_chain(fetch, service);
    }
    ask_next(g_steal_pointer(&task));
}

/* Takes @task. */
static void
ask_next(GTask *task)
{
    Fetch *fetch = g_task_get_task_data(task);

    if (fetch->next < fetch->n_items) {
        kh_key_service_get_async(g_task_get_source_object(task), &fetch->items[fetch->next],
                                 kh_key_trust_verify, fetch->trust, g_task_get_cancellable(task),
                                 on_got, task);
        return;
    }
    g_task_return_pointer(task, g_steal_pointer(&fetch->result), (GDestroyNotify)kh_key_fetch_free);
    g_object_unref(task);
}

static void
add_item(Fetch *fetch, KhKeyKind kind, const KhReport *report, KhProduct product)
{
    KhKeyItem *item = &fetch->items[fetch->n_items++];
    gsize length;
    const guint8 *chip = kh_report_field(report, KH_REPORT_CHIP_ID, &length);

    item->kind = kind;
    item->product = product;
    memcpy(item->chip_id, chip, KH_REPORT_CHIP_ID_SIZE);
    item->tcb = kh_report_tcb(report, KH_REPORT_REPORTED_TCB, product);
}

static void
choose_items(Fetch *fetch, const KhReport *report, KhProduct product)
{
    if (product == KH_PRODUCT_UNKNOWN)
        return;
    if (report->signing_key == KH_SIGNING_KEY_VCEK) {
        add_item(fetch, KH_KEY_VCEK_CHAIN, report, product);
        add_item(fetch, KH_KEY_VCEK, report, product);
        add_item(fetch, KH_KEY_VCEK_CRL, report, product);
    } else if (report->signing_key == KH_SIGNING_KEY_VLEK) {
        add_item(fetch, KH_KEY_VLEK_CHAIN, report, product);
        add_item(fetch, KH_KEY_VLEK_CRL, report, product);
    }
}

void
kh_key_fetch_async(KhKeyService *service, KhKeyTrust *trust, const KhReport *report,
                   KhProduct product, GCancellable *cancellable, GAsyncReadyCallback callback,
                   gpointer user_data)
{
    GTask *task = g_task_new(service, cancellable, callback, user_data);
    Fetch *fetch = g_new0(Fetch, 1);

    fetch->trust = trust;
    fetch->result = g_new0(KhKeyFetch, 1);
    fetch->result->troubles = g_ptr_array_new_with_free_func(g_free);
    choose_items(fetch, report, product);
    g_task_set_source_tag(task, kh_key_fetch_async);
    g_task_set_task_data(task, fetch, fetch_free);
    ask_next(task);
}

KhKeyFetch *
kh_key_fetch_finish(GAsyncResult *result, GError **error)
{
    g_autoptr(GError) failure = NULL;
    KhKeyFetch *fetch = g_task_propagate_pointer(G_TASK(result), &failure);

    if (fetch == NULL)
        g_propagate_error(
            error, kh_error_import(g_steal_pointer(&failure), KH_ERROR_FAILED, "The key service"));
    return fetch;
}
