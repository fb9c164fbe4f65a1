/* SPDX-License-Identifier: MIT */
/*
 * How much one sender may have under way at once, of what lasts: used by the authority for
 * questions to polkit and by OpenLog for streams (calls: intake.h). A limit that is reached is
 * KH_ERROR_LIMIT_EXCEEDED.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * KhLimit:
 * @KH_LIMIT_PROMPTS: questions that polkit has not answered
 * @KH_LIMIT_STREAMS: open log streams
 * @KH_LIMIT_USER_STREAMS: the same of a user, who has as many connections as he likes; the
 *     sender is then his uid
 * @KH_LIMIT_USER_PROMPTS: questions that polkit has not answered, of a user
 */
typedef enum {
    KH_LIMIT_PROMPTS,
    KH_LIMIT_STREAMS,
    KH_LIMIT_USER_STREAMS,
    KH_LIMIT_USER_PROMPTS,
} KhLimit;

#define KH_N_LIMITS (KH_LIMIT_USER_PROMPTS + 1)

typedef struct _KhLimits KhLimits;

KhLimits *kh_limits_new(void);
KhLimits *kh_limits_ref(KhLimits *limits);
void kh_limits_unref(KhLimits *limits);

/* Counts one more of @limit for @sender; each success wants a kh_limits_leave(). */
gboolean kh_limits_enter(KhLimits *limits, const char *sender, KhLimit limit, GError **error);

void kh_limits_leave(KhLimits *limits, const char *sender, KhLimit limit);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhLimits, kh_limits_unref)

G_END_DECLS
