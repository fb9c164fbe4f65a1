/* SPDX-License-Identifier: MIT */
/*
 * Calls that wait for an instance to get somewhere: a list of GTasks, each with its own
 * deadline. Used by the instance, one list per operation.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _KhWaiters KhWaiters;

KhWaiters *kh_waiters_new(void);

/* Fails what still waits with KH_ERROR_CANCELLED. */
void kh_waiters_free(KhWaiters *waiters);

/*
 * Adds @task (taken). After @timeout_usec, unless that is 0, it fails with
 * KH_ERROR_TIMED_OUT and @late as its message.
 */
void kh_waiters_add(KhWaiters *waiters, GTask *task, gint64 timeout_usec, const char *late);

/* Finishes all of them, with success or with copies of @error. */
void kh_waiters_finish(KhWaiters *waiters, const GError *error);

G_END_DECLS
