/* SPDX-License-Identifier: MIT */
/* One file from a web server; see http-get.h. */
#include "http-get.h"

#include "error.h"
#include "http-guard.h"
#include "names.h"

#define REDIRECTS_MAX 3
#define USER_AGENT "katana-hypervisor"
#define SHOWN_MAX 300

/* RFC 6585, section 4; libsoup has no name for it. */
#define STATUS_TOO_MANY_REQUESTS 429

typedef struct {
    SoupSession *session;
    GUri *uri;
    KhHttpLimits limits;
    guint attempts, redirects;
    /* Of the attempt under way: */
    SoupMessage *message;
    GInputStream *stream;
    guint8 *body;
    KhHttpGuard *guard; /* its cancellable is the timer's too */
    GSource *timer;
    gboolean late;
} Get;

static void send(GTask *task);

/* --- one attempt --------------------------------------------------------------------- */

static void
end_attempt(GTask *task)
{
    Get *get = g_task_get_task_data(task);

    if (get->timer != NULL)
        g_source_destroy(get->timer);
    g_clear_pointer(&get->timer, g_source_unref);
    /* Drops a body that is not read to its end, and the connection with it. */
    if (get->guard != NULL && get->stream != NULL)
        g_cancellable_cancel(kh_http_guard_get_cancellable(get->guard));
    g_clear_object(&get->stream);
    g_clear_pointer(&get->guard, kh_http_guard_free);
    g_clear_object(&get->message);
    g_clear_pointer(&get->body, g_free);
}

static void
get_free(gpointer data)
{
    Get *get = data;

    g_uri_unref(get->uri);
    g_object_unref(get->session);
    g_free(get);
}

static gboolean
on_late(gpointer data)
{
    Get *get = g_task_get_task_data(data);

    get->late = TRUE;
    g_cancellable_cancel(kh_http_guard_get_cancellable(get->guard));
    return G_SOURCE_REMOVE;
}

static void
begin_attempt(GTask *task)
{
    Get *get = g_task_get_task_data(task);

    get->late = FALSE;
    get->message = soup_message_new_from_uri(SOUP_METHOD_GET, get->uri);
    soup_message_add_flags(get->message, SOUP_MESSAGE_NO_REDIRECT);
    get->guard = kh_http_guard_new(get->message, g_task_get_cancellable(task));
    get->timer = g_timeout_source_new(get->limits.answer_ms);
    g_source_set_callback(get->timer, on_late, task, NULL);
    g_source_attach(get->timer, g_task_get_context(task));
}

/* --- ends ---------------------------------------------------------------------------- */

/* Takes @error and @task. */
static void
return_error(GTask *task, GError *error)
{
    Get *get = g_task_get_task_data(task);
    g_autofree char *url = g_uri_to_string(get->uri);
    g_autofree char *shown = kh_text_sanitize(url, SHOWN_MAX);

    if (get->late) {
        g_clear_error(&error);
        error = g_error_new(KH_ERROR, KH_ERROR_TIMED_OUT, "%s did not answer within %u s", shown,
                            (get->limits.answer_ms + 999) / 1000);
    } else {
        error = kh_http_guard_explain(get->guard, error);
    }
    end_attempt(task);
    g_task_return_error(task, kh_error_import(error, KH_ERROR_FAILED, shown));
    g_object_unref(task);
}

/* Takes @task. */
static void G_GNUC_PRINTF(3, 4) return_failure(GTask *task, KhError code, const char *format, ...)
{
    Get *get = g_task_get_task_data(task);
    g_autofree char *url = g_uri_to_string(get->uri);
    g_autofree char *shown = kh_text_sanitize(url, SHOWN_MAX);
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return_error(task, g_error_new(KH_ERROR, (int)code, "%s %s", shown, text));
}

/* --- told to come back --------------------------------------------------------------- */

static gboolean
on_pause_over(gpointer data)
{
    GTask *task = data;

    if (g_task_return_error_if_cancelled(task))
        g_object_unref(task);
    else
        send(task);
    return G_SOURCE_REMOVE;
}

/* Ends early when the caller cancels. */
static void
pause_for(GTask *task, guint ms)
{
    g_autoptr(GSource) timer = g_timeout_source_new(ms);
    GCancellable *callers = g_task_get_cancellable(task);

    if (callers != NULL) {
        g_autoptr(GSource) cancelled = g_cancellable_source_new(callers);

        g_source_set_dummy_callback(cancelled);
        g_source_add_child_source(timer, cancelled);
    }
    g_source_set_callback(timer, on_pause_over, task, NULL);
    g_source_attach(timer, g_task_get_context(task));
}

/* What Retry-After says, in ms, a number of seconds or a date; 0 for nothing. */
static guint64
read_retry_after(SoupMessage *message)
{
    const char *text =
        soup_message_headers_get_one(soup_message_get_response_headers(message), "Retry-After");
    g_autoptr(GDateTime) date = NULL;
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    guint64 seconds;

    if (text == NULL)
        return 0;
    if (g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32, &seconds, NULL))
        return seconds * 1000;
    date = soup_date_time_new_from_http_string(text);
    if (date == NULL || g_date_time_compare(date, now) <= 0)
        return 0;
    return (guint64)(g_date_time_difference(date, now) / 1000);
}

/* Takes @task. */
static void
come_back(GTask *task)
{
    Get *get = g_task_get_task_data(task);
    guint64 asked = read_retry_after(get->message);
    guint64 own = (guint64)get->limits.wait_first_ms << MIN(get->attempts - 1, 16);
    guint64 wait = MAX(asked, MIN(own, get->limits.wait_max_ms));

    if (get->attempts >= get->limits.attempts) {
        return_failure(task, KH_ERROR_BUSY, "answered %u times that it is busy; try later",
                       get->attempts);
    } else if (wait > get->limits.wait_max_ms) {
        return_failure(task, KH_ERROR_BUSY,
                       "wants to be asked again in %" G_GUINT64_FORMAT " s; try then",
                       (asked + 999) / 1000);
    } else {
        end_attempt(task);
        pause_for(task, (guint)wait);
    }
}

/* --- redirects ----------------------------------------------------------------------- */

static gboolean
is_same_host(GUri *a, GUri *b)
{
    return g_str_equal(g_uri_get_scheme(a), g_uri_get_scheme(b)) && g_uri_get_host(b) != NULL &&
           g_ascii_strcasecmp(g_uri_get_host(a), g_uri_get_host(b)) == 0 &&
           g_uri_get_port(a) == g_uri_get_port(b) && g_uri_get_userinfo(b) == NULL;
}

/* Takes @task. */
static void
follow(GTask *task)
{
    Get *get = g_task_get_task_data(task);
    const char *location =
        soup_message_headers_get_one(soup_message_get_response_headers(get->message), "Location");
    g_autoptr(GUri) next =
        location == NULL ? NULL
                         : g_uri_parse_relative(get->uri, location, SOUP_HTTP_URI_FLAGS, NULL);
    g_autofree char *shown = location == NULL ? NULL : kh_text_sanitize(location, SHOWN_MAX);

    if (location == NULL) {
        return_failure(task, KH_ERROR_FAILED, "redirects without saying where");
    } else if (next == NULL) {
        return_failure(task, KH_ERROR_FAILED, "redirects to %s, which is not an address", shown);
    } else if (!is_same_host(get->uri, next)) {
        return_failure(task, KH_ERROR_FAILED,
                       "redirects to %s, another host, which is not followed", shown);
    } else if (++get->redirects > REDIRECTS_MAX) {
        return_failure(task, KH_ERROR_FAILED, "redirects more than %d times", REDIRECTS_MAX);
    } else {
        end_attempt(task);
        g_uri_unref(get->uri);
        get->uri = g_steal_pointer(&next);
        get->attempts--;
        send(task);
    }
}

/* --- the answer ---------------------------------------------------------------------- */

static void
on_body(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Get *get = g_task_get_task_data(task);
    GError *error = NULL;
    gsize length = 0;
    GBytes *bytes;

    if (!g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, &length, &error)) {
        return_error(task, error);
        return;
    }
    if (length > get->limits.size_max) {
        return_failure(task, KH_ERROR_LIMIT_EXCEEDED,
                       "has an answer of more than %" G_GSIZE_FORMAT " bytes",
                       get->limits.size_max);
        return;
    }
    bytes = g_bytes_new(get->body, length);
    end_attempt(task);
    g_task_return_pointer(task, bytes, (GDestroyNotify)g_bytes_unref);
    g_object_unref(task);
}

static void
read_body(GTask *task)
{
    Get *get = g_task_get_task_data(task);

    get->body = g_malloc(get->limits.size_max + 1);
    g_input_stream_read_all_async(get->stream, get->body, get->limits.size_max + 1,
                                  G_PRIORITY_DEFAULT, kh_http_guard_get_cancellable(get->guard),
                                  on_body, task);
}

static void
on_headers(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Get *get = g_task_get_task_data(task);
    GError *error = NULL;
    guint status;

    get->stream = soup_session_send_finish(SOUP_SESSION(source), result, &error);
    status = soup_message_get_status(get->message);
    if (get->stream == NULL)
        return_error(task, error);
    else if (status == SOUP_STATUS_OK)
        read_body(task);
    else if (status == STATUS_TOO_MANY_REQUESTS || status == SOUP_STATUS_SERVICE_UNAVAILABLE)
        come_back(task);
    else if (SOUP_STATUS_IS_REDIRECTION(status))
        follow(task);
    else
        return_failure(task, status == SOUP_STATUS_NOT_FOUND ? KH_ERROR_NOT_FOUND : KH_ERROR_FAILED,
                       "answers %u", status);
}

static void
send(GTask *task)
{
    Get *get = g_task_get_task_data(task);

    get->attempts++;
    begin_attempt(task);
    soup_session_send_async(get->session, get->message, G_PRIORITY_DEFAULT,
                            kh_http_guard_get_cancellable(get->guard), on_headers, task);
}

/* --- the whole ----------------------------------------------------------------------- */

SoupSession *
kh_http_session_new(void)
{
    SoupSession *session = soup_session_new_with_options("max-conns", 1, "max-conns-per-host", 1,
                                                         "user-agent", USER_AGENT, NULL);

    /* What is counted is what came over the wire. */
    kh_http_guard_session(session);
    return session;
}

void
kh_http_get_async(SoupSession *session, const char *url, const KhHttpLimits *limits,
                  GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    GError *error = NULL;
    GUri *uri = g_uri_parse(url, SOUP_HTTP_URI_FLAGS, &error);
    Get *get;

    g_task_set_source_tag(task, kh_http_get_async);
    if (uri == NULL) {
        g_task_return_error(task, kh_error_import(error, KH_ERROR_INVALID_ARGUMENT, url));
        g_object_unref(task);
        return;
    }
    get = g_new0(Get, 1);
    get->session = g_object_ref(session);
    get->uri = uri;
    get->limits = *limits;
    g_task_set_task_data(task, get, get_free);
    send(task);
}

GBytes *
kh_http_get_finish(GAsyncResult *result, GError **error)
{
    g_autoptr(GError) failure = NULL;
    GBytes *bytes = g_task_propagate_pointer(G_TASK(result), &failure);

    if (bytes == NULL)
        g_propagate_error(error, kh_error_import(g_steal_pointer(&failure), KH_ERROR_FAILED,
                                                 "The request was given up"));
    return bytes;
}
