/* SPDX-License-Identifier: MIT */
/*
 * What libsoup does not bound. It reads interim answers (status 1xx), and compressed bytes that
 * come to nothing, as long as there are some, without a return to the main loop: who sends them
 * without end stops the program, timers and all. Used wherever a server is asked that we do not
 * trust: the key service, a guest.
 */
#pragma once

#include <libsoup/soup.h>

G_BEGIN_DECLS

/* Takes from @session what acts on an answer by itself: decoding and authentication. */
void kh_http_guard_session(SoupSession *session);

typedef struct _KhHttpGuard KhHttpGuard;

/* Watches over one request from before it is sent until its answer is read. Transfer full. */
KhHttpGuard *kh_http_guard_new(SoupMessage *message, GCancellable *callers);
void kh_http_guard_free(KhHttpGuard *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhHttpGuard, kh_http_guard_free)

/*
 * To be given to all that sends and reads: cancelled after too many interim answers, and with
 * that of the caller (NULL: he has none). Owned by @self.
 */
GCancellable *kh_http_guard_get_cancellable(KhHttpGuard *self);

/* Instead of @error, which is taken: KH_ERROR_LIMIT_EXCEEDED if it was the guard's doing. */
GError *kh_http_guard_explain(KhHttpGuard *self, GError *error);

G_END_DECLS
