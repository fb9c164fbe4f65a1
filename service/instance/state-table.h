/* SPDX-License-Identifier: MIT */
/*
 * The one table of what may be done in which state. Asked by the instance before every
 * operation, and walked whole by its test.
 */
#pragma once

#include <glib.h>

#include "names.h"

G_BEGIN_DECLS

typedef enum {
    KH_OPERATION_START,
    KH_OPERATION_STOP,
    KH_OPERATION_KILL, /* a stop by force */
    KH_OPERATION_RESTART,
    KH_OPERATION_RESET,
    KH_OPERATION_PAUSE,
    KH_OPERATION_RESUME,
    KH_OPERATION_CONFIGURE,
    KH_OPERATION_DELETE,
    KH_OPERATION_FORCE_DELETE,
} KhOperation;

#define KH_N_OPERATIONS (KH_OPERATION_FORCE_DELETE + 1)

/**
 * KhVerdict:
 * @KH_VERDICT_REFUSE: not in this state
 * @KH_VERDICT_ALLOW: go
 * @KH_VERDICT_JOIN: it is under way already: wait for its end with it
 * @KH_VERDICT_NOTHING: the state is what was asked for
 */
typedef enum {
    KH_VERDICT_REFUSE,
    KH_VERDICT_ALLOW,
    KH_VERDICT_JOIN,
    KH_VERDICT_NOTHING,
} KhVerdict;

/* "start", "stop", "delete" …; static. */
const char *kh_operation_name(KhOperation operation);

KhVerdict kh_state_table_verdict(KhState state, KhOperation operation);

/*
 * Sets KH_ERROR_INVALID_STATE (KH_ERROR_BUSY while stopping or deleting) for a refused pair:
 * names the instance, its state and the way out.
 */
void kh_state_table_explain(const char *name, KhState state, KhOperation operation, GError **error);

G_END_DECLS
