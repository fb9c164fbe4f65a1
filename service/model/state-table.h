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
 * KhAdmission:
 * @KH_ADMISSION_REFUSE: not in this state
 * @KH_ADMISSION_ALLOW: go
 * @KH_ADMISSION_JOIN: it is under way already: wait for its end with it
 * @KH_ADMISSION_NOTHING: the state is what was asked for
 */
typedef enum {
    KH_ADMISSION_REFUSE,
    KH_ADMISSION_ALLOW,
    KH_ADMISSION_JOIN,
    KH_ADMISSION_NOTHING,
} KhAdmission;

/* "start", "stop", "delete" …; static. */
const char *kh_operation_name(KhOperation operation);

/* The polkit action that it needs, without its prefix; static. */
const char *kh_operation_action(KhOperation operation);

/* It ends with an answering RPC, and may be taken back until then. */
gboolean kh_operation_starts(KhOperation operation);

/* It is a command for QEMU's monitor. */
gboolean kh_operation_commands(KhOperation operation);

/* By its state, no machine of it lives, nor will before somebody starts one. */
gboolean kh_state_is_down(KhState state);

KhAdmission kh_state_table_look_up(KhState state, KhOperation operation);

/*
 * Sets KH_ERROR_INVALID_STATE (KH_ERROR_BUSY while stopping or deleting) for a refused pair:
 * names the instance, its state and the way out.
 */
void kh_state_table_explain(const char *name, KhState state, KhOperation operation, GError **error);

G_END_DECLS
