/* SPDX-License-Identifier: MIT */
/* The client of AMD's key service; see key-service.h. */
#include "key-service.h"

#include "certificate-cache.h"
#include "error.h"

/* AMD gives out one VCEK in some ten seconds to an address; more are answered 429. */
static const KhHttpLimits usual_limits = {
    .answer_ms = 30000,
    .attempts = 5,
    .wait_first_ms = 10000,
    .wait_max_ms = 60000,
};

/* Between two looks whether another process is done. */
#define LOCK_LOOK_MS 100

struct _KhKeyService {
    GObject parent_instance;
    char *url;
    gboolean offline;
    gint64 now;
    KhHttpLimits limits;
    SoupSession *session;
    KhCertificateCache *cache;
    GQueue waiting; /* GTask: those whose turn is yet to come */
    GTask *current; /* the one that asks the service; owned by itself */
};

G_DEFINE_FINAL_TYPE(KhKeyService, kh_key_service, G_TYPE_OBJECT)

typedef struct {
    KhKeyItem item;
    KhKeyVerify verify;
    gpointer verify_data;
    KhKeyOrigin origin;
    gint64 lock_deadline; /* monotonic, in us */
} Request;

static void take_turn(KhKeyService *self);

/* --- what is there ------------------------------------------------------------------- */

static gboolean
is_good(Request *request, GBytes *bytes, GError **error)
{
    return kh_key_answer_check(request->item.kind, bytes, error) &&
           request->verify(&request->item, bytes, request->verify_data, error);
}

static gboolean
is_current(KhKeyService *self, Request *request, GBytes *bytes)
{
    gint64 now = self->now != 0 ? self->now : g_get_real_time() / G_USEC_PER_SEC;
    gint64 this_update, next_update;

    if (!kh_key_kind_is_crl(request->item.kind))
        return TRUE;
    kh_key_answer_get_updates(bytes, &this_update, &next_update);
    return next_update > now;
}

/*
 * What the cache has of it and is still good, else NULL. What is not good stays until a good one
 * takes its place: the caller may not have had yet what he verifies it by.
 */
static GBytes *
look_up(KhKeyService *self, Request *request)
{
    g_autofree char *name = kh_key_item_file_name(&request->item);
    g_autoptr(GBytes) bytes = kh_certificate_cache_get(self->cache, name);
    g_autoptr(GError) error = NULL;

    if (bytes == NULL)
        return NULL;
    if (is_good(request, bytes, &error))
        return g_steal_pointer(&bytes);
    g_debug("%s in the cache is not valid: %s", name, error->message);
    return NULL;
}

/* Whether the cache had it. Ends @task then. */
static gboolean
answer_from_cache(KhKeyService *self, GTask *task)
{
    Request *request = g_task_get_task_data(task);
    g_autoptr(GBytes) bytes = request->item.fresh ? NULL : look_up(self, request);

    if (bytes == NULL || (!self->offline && !is_current(self, request, bytes)))
        return FALSE;
    request->origin = KH_KEY_FROM_CACHE;
    g_task_return_pointer(task, g_steal_pointer(&bytes), (GDestroyNotify)g_bytes_unref);
    return TRUE;
}

/* A CRL of earlier does not take the place of a later one, which may revoke more. */
static gboolean
is_older(KhKeyService *self, Request *request, GBytes *bytes)
{
    g_autoptr(GBytes) kept = NULL;
    gint64 this_update, kept_update, next_update;

    if (!kh_key_kind_is_crl(request->item.kind) || (kept = look_up(self, request)) == NULL)
        return FALSE;
    kh_key_answer_get_updates(bytes, &this_update, &next_update);
    kh_key_answer_get_updates(kept, &kept_update, &next_update);
    return this_update < kept_update;
}

/* A cache that cannot be written costs a request next time, and no more. */
static void
keep(KhKeyService *self, Request *request, GBytes *bytes)
{
    g_autofree char *name = kh_key_item_file_name(&request->item);
    g_autoptr(GError) error = NULL;

    if (!kh_certificate_cache_put(self->cache, name, bytes, &error))
        g_message("%s is not cached: %s", name, error->message);
}

/* --- asking -------------------------------------------------------------------------- */

/* The current one has been answered. */
static void
end_turn(KhKeyService *self)
{
    g_autoptr(GTask) task = g_steal_pointer(&self->current);

    kh_certificate_cache_unlock(self->cache);
    take_turn(self);
}

/* Takes @error. */
static void
fail_turn(KhKeyService *self, GError *error)
{
    Request *request = g_task_get_task_data(self->current);
    g_autofree char *what = kh_key_item_describe(&request->item);

    g_prefix_error(&error, "The %s cannot be fetched: ", what);
    g_task_return_error(self->current, error);
    end_turn(self);
}

static void
on_got(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhKeyService) self = data;
    Request *request = g_task_get_task_data(self->current);
    GError *error = NULL;
    g_autoptr(GBytes) bytes = kh_http_get_finish(result, &error);

    if (bytes == NULL || !is_good(request, bytes, &error)) {
        fail_turn(self, error);
        return;
    }
    if (is_older(self, request, bytes)) {
        fail_turn(self, g_error_new(KH_ERROR, KH_ERROR_FAILED,
                                    "the key service gives an older one than it did before"));
        return;
    }
    keep(self, request, bytes);
    request->origin = KH_KEY_FROM_SERVICE;
    g_task_return_pointer(self->current, g_steal_pointer(&bytes), (GDestroyNotify)g_bytes_unref);
    end_turn(self);
}

/* It may have come into the cache while this one was waiting. */
static void
ask(KhKeyService *self)
{
    Request *request = g_task_get_task_data(self->current);
    g_autofree char *path = kh_key_item_path(&request->item);
    g_autofree char *url = g_strconcat(self->url, path, NULL);
    KhHttpLimits limits = self->limits;

    if (answer_from_cache(self, self->current)) {
        end_turn(self);
        return;
    }
    limits.size_max = kh_key_answer_size_max(request->item.kind);
    kh_http_get_async(self->session, url, &limits, g_task_get_cancellable(self->current), on_got,
                      g_object_ref(self));
}

static gboolean
on_lock_look(gpointer data)
{
    KhKeyService *self = data;
    Request *request = g_task_get_task_data(self->current);

    if (g_task_return_error_if_cancelled(self->current)) {
        end_turn(self);
    } else if (kh_certificate_cache_try_lock(self->cache)) {
        ask(self);
    } else if (g_get_monotonic_time() > request->lock_deadline) {
        fail_turn(self, g_error_new(KH_ERROR, KH_ERROR_BUSY,
                                    "another process holds the lock in %s; try later",
                                    kh_certificate_cache_get_folder(self->cache)));
    } else {
        return G_SOURCE_CONTINUE;
    }
    return G_SOURCE_REMOVE;
}

/* Looks now and then for the end of another process's requests. */
static void
wait_for_lock(KhKeyService *self)
{
    Request *request = g_task_get_task_data(self->current);
    g_autoptr(GSource) timer = g_timeout_source_new(LOCK_LOOK_MS);
    gint64 most_ms =
        (gint64)self->limits.attempts * (self->limits.answer_ms + self->limits.wait_max_ms);

    request->lock_deadline = g_get_monotonic_time() + most_ms * 1000;
    g_source_set_callback(timer, on_lock_look, g_object_ref(self), g_object_unref);
    g_source_attach(timer, g_task_get_context(self->current));
}

/* Begins with the next one, if none is under way. */
static void
take_turn(KhKeyService *self)
{
    g_autoptr(KhKeyService) alive = g_object_ref(self);

    if (self->current != NULL || g_queue_is_empty(&self->waiting))
        return;
    self->current = g_queue_pop_head(&self->waiting);
    if (kh_certificate_cache_try_lock(self->cache))
        ask(self);
    else
        wait_for_lock(self);
}

static GError *
make_offline_error(KhKeyService *self, Request *request)
{
    g_autofree char *what = kh_key_item_describe(&request->item);

    return g_error_new(KH_ERROR, KH_ERROR_NOT_FOUND,
                       "The %s is not in %s; leave --offline out once to fetch it", what,
                       kh_certificate_cache_get_folder(self->cache));
}

void
kh_key_service_get_async(KhKeyService *self, const KhKeyItem *item, KhKeyVerify verify,
                         gpointer verify_data, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, cancellable, callback, user_data);
    Request *request = g_new0(Request, 1);
    GError *error = NULL;

    request->item = *item;
    request->verify = verify;
    request->verify_data = verify_data;
    g_task_set_source_tag(task, kh_key_service_get_async);
    g_task_set_task_data(task, request, g_free);
    if (!kh_key_item_check(item, &error)) {
        g_task_return_error(task, error);
        return;
    }
    if (answer_from_cache(self, task))
        return;
    if (self->offline) {
        g_task_return_error(task, make_offline_error(self, request));
        return;
    }
    g_queue_push_tail(&self->waiting, g_steal_pointer(&task));
    take_turn(self);
}

gboolean
kh_key_service_is_offline(KhKeyService *self)
{
    return self->offline;
}

GBytes *
kh_key_service_peek(KhKeyService *self, const KhKeyItem *item)
{
    g_autofree char *name = kh_key_item_file_name(item);

    return kh_certificate_cache_get(self->cache, name);
}

GBytes *
kh_key_service_get_finish(KhKeyService *self, GAsyncResult *result, KhKeyOrigin *origin,
                          GError **error)
{
    Request *request = g_task_get_task_data(G_TASK(result));
    g_autoptr(GError) failure = NULL;
    GBytes *bytes = g_task_propagate_pointer(G_TASK(result), &failure);

    if (origin != NULL)
        *origin = request->origin;
    if (bytes == NULL)
        g_propagate_error(
            error, kh_error_import(g_steal_pointer(&failure), KH_ERROR_FAILED, "The key service"));
    return bytes;
}

/* --- the object ---------------------------------------------------------------------- */

static gboolean
check_url(const char *url, GError **error)
{
    g_autoptr(GUri) uri = g_uri_parse(url, SOUP_HTTP_URI_FLAGS, NULL);
    const char *scheme = uri == NULL ? "" : g_uri_get_scheme(uri);

    if ((g_str_equal(scheme, "https") || g_str_equal(scheme, "http")) &&
        g_uri_get_host(uri) != NULL && g_uri_get_host(uri)[0] != '\0' &&
        g_uri_get_userinfo(uri) == NULL && g_uri_get_query(uri) == NULL &&
        g_uri_get_fragment(uri) == NULL)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "The key service's address is \"%s\"; it must be http:// or https:// and a host", url);
}

static KhHttpLimits
choose_limits(const KhHttpLimits *wanted)
{
    KhHttpLimits limits = usual_limits;

    if (wanted->answer_ms != 0)
        limits.answer_ms = wanted->answer_ms;
    if (wanted->attempts != 0)
        limits.attempts = wanted->attempts;
    if (wanted->wait_first_ms != 0)
        limits.wait_first_ms = wanted->wait_first_ms;
    if (wanted->wait_max_ms != 0)
        limits.wait_max_ms = wanted->wait_max_ms;
    return limits;
}

KhKeyService *
kh_key_service_new(const KhKeyServiceOptions *options, GError **error)
{
    const char *url = options->url != NULL ? options->url : KH_KEY_SERVICE_URL;
    gsize length = strlen(url);
    KhKeyService *self;

    if (!check_url(url, error))
        return NULL;
    while (length > 0 && url[length - 1] == '/')
        length--;
    self = g_object_new(KH_TYPE_KEY_SERVICE, NULL);
    self->url = g_strndup(url, length);
    self->offline = options->offline;
    self->now = options->now;
    self->limits = choose_limits(&options->limits);
    self->cache = kh_certificate_cache_new(options->folder);
    return self;
}

static void
kh_key_service_finalize(GObject *object)
{
    KhKeyService *self = KH_KEY_SERVICE(object);

    kh_certificate_cache_free(self->cache);
    g_object_unref(self->session);
    g_free(self->url);
    G_OBJECT_CLASS(kh_key_service_parent_class)->finalize(object);
}

static void
kh_key_service_class_init(KhKeyServiceClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_key_service_finalize;
}

static void
kh_key_service_init(KhKeyService *self)
{
    g_queue_init(&self->waiting);
    self->session = kh_http_session_new();
}
