/* SPDX-License-Identifier: MIT */
/* Counts interim answers; see http-guard.h. */
#include "http-guard.h"

#include "error.h"
#include "names.h"

/* A server needs none of them for what is asked here; proxies send one or two. */
#define INTERIM_MAX 8
#define SHOWN_MAX 300

struct _KhHttpGuard {
    SoupMessage *message;
    GCancellable *callers, *stop;
    gulong watch, link;
    guint interim;
};

void
kh_http_guard_session(SoupSession *session)
{
    soup_session_remove_feature_by_type(session, SOUP_TYPE_CONTENT_DECODER);
    soup_session_remove_feature_by_type(session, SOUP_TYPE_AUTH_MANAGER);
}

static void
on_interim(SoupMessage *message, gpointer data)
{
    KhHttpGuard *self = data;

    if (++self->interim > INTERIM_MAX)
        g_cancellable_cancel(self->stop);
}

static void
on_caller_cancelled(GCancellable *cancellable, gpointer stop)
{
    g_cancellable_cancel(stop);
}

KhHttpGuard *
kh_http_guard_new(SoupMessage *message, GCancellable *callers)
{
    KhHttpGuard *self = g_new0(KhHttpGuard, 1);

    self->message = g_object_ref(message);
    self->stop = g_cancellable_new();
    self->watch = g_signal_connect(message, "got-informational", G_CALLBACK(on_interim), self);
    if (callers == NULL)
        return self;
    self->callers = g_object_ref(callers);
    self->link = g_cancellable_connect(callers, G_CALLBACK(on_caller_cancelled),
                                       g_object_ref(self->stop), g_object_unref);
    return self;
}

void
kh_http_guard_free(KhHttpGuard *self)
{
    g_signal_handler_disconnect(self->message, self->watch);
    g_cancellable_disconnect(self->callers, self->link);
    g_clear_object(&self->callers);
    g_object_unref(self->stop);
    g_object_unref(self->message);
    g_free(self);
}

GCancellable *
kh_http_guard_get_cancellable(KhHttpGuard *self)
{
    return self->stop;
}

GError *
kh_http_guard_explain(KhHttpGuard *self, GError *error)
{
    g_autofree char *url = g_uri_to_string(soup_message_get_uri(self->message));
    g_autofree char *shown = kh_text_sanitize(url, SHOWN_MAX);

    if (self->interim <= INTERIM_MAX)
        return error;
    g_error_free(error);
    return g_error_new(KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                       "%s sends more than %d interim answers (status 1xx) and no other", shown,
                       INTERIM_MAX);
}
