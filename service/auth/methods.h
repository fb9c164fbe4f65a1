/* SPDX-License-Identifier: MIT */
/*
 * The methods of the interfaces, as their XML describes them: what each needs. The table is
 * generated. Used by the gate, and by the intake in GDBus's thread.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* No authorization is needed. */
#define KH_ACTION_FREE "free"

/* What is needed the object says; see kh_gate_set_action(). */
#define KH_ACTION_OF_OBJECT "of-object"

/**
 * KhMethod:
 * @action: the polkit action without its prefix, KH_ACTION_FREE or KH_ACTION_OF_OBJECT
 * @expose_argument: the argument that needs the action "expose" if it reaches out; -1: none
 * @takes_descriptors: an argument of it is a descriptor
 */
typedef struct {
    const char *interface, *method, *action;
    int expose_argument;
    gboolean takes_descriptors;
} KhMethod;

/* NULL when there is none, so that it cannot be called; each may be NULL. Not owned. */
const KhMethod *kh_method_find(const char *interface, const char *method);

G_END_DECLS
