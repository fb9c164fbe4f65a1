/* SPDX-License-Identifier: MIT */
/*
 * One file from a web server that we do not trust: bounded in size, time and attempts, never
 * led to another host. Used by the key service's client.
 */
#pragma once

#include <libsoup/soup.h>

G_BEGIN_DECLS

typedef struct {
    gsize size_max;      /* of the body, in bytes */
    guint answer_ms;     /* for the whole of one answer */
    guint attempts;      /* when told to come back (429, 503) */
    guint wait_first_ms; /* before the second one, doubled before each further one */
    guint wait_max_ms;   /* no longer pause is made, nor is a longer Retry-After waited for */
} KhHttpLimits;

/* A session without cookies, caches, decoding or credentials. */
SoupSession *kh_http_session_new(void);

/*
 * Gets @url, http or https. A redirect within its host is followed, thrice at most. Waits
 * as told by Retry-After when there are too many requests.
 */
void kh_http_get_async(SoupSession *session, const char *url, const KhHttpLimits *limits,
                       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);

/*
 * The body. KH_ERROR_NOT_FOUND for 404, KH_ERROR_BUSY when it was told to come back too often
 * or too late, KH_ERROR_LIMIT_EXCEEDED for a body that is too long or interim answers without
 * end, KH_ERROR_TIMED_OUT, KH_ERROR_CANCELLED, KH_ERROR_FAILED. Transfer full.
 */
GBytes *kh_http_get_finish(GAsyncResult *result, GError **error);

G_END_DECLS
