/* SPDX-License-Identifier: MIT */
/*
 * The one way into a method: the gate owns every call on a guarded interface, asks the
 * authority for the action that the XML names, and only then lets the generated skeleton
 * have it. A method without an action, a skeleton without a gate and every property Set
 * are denied. Calls, and reading properties is one, are let in by turns (turns.h).
 * Asynchronous and in the main thread, so that a pending prompt delays nobody. The connection
 * needs an intake (intake.h).
 */
#pragma once

#include "authority.h"
#include "limits.h"
#include "turns.h"

G_BEGIN_DECLS

#define KH_TYPE_GATE (kh_gate_get_type())
G_DECLARE_FINAL_TYPE(KhGate, kh_gate, KH, GATE, GObject)

KhGate *kh_gate_new(KhAuthority *authority, KhLimits *limits);

/* What lasts for longer than a call counts against these; owned by the gate. */
KhLimits *kh_gate_get_limits(KhGate *self);

/* Whose turn it is; owned by the gate. */
KhTurns *kh_gate_get_turns(KhGate *self);

/* A property of a skeleton of a guarded class. Transfer full. */
GVariant *kh_gate_read_property(GDBusInterfaceSkeleton *skeleton, const char *name);

/* Guards all skeletons of a class; call it in class_init. */
void kh_gate_guard_class(GDBusInterfaceSkeletonClass *class);

/*
 * Adds what polkit shall know about a call: @details maps names to texts (both freed with
 * g_free) and has "operation" already.
 */
typedef void (*KhGateDescribe)(GDBusInterfaceSkeleton *skeleton, const char *method,
                               GVariant *parameters, GHashTable *details);

/* Gives @skeleton, of a guarded class, its gate. */
void kh_gate_attach(KhGate *self, GDBusInterfaceSkeleton *skeleton, KhGateDescribe describe);

/*
 * Whether what @config (a{sv}, unchecked) asks for needs the action "expose", whichever its
 * values, because of what the object is. Asked of a call that carries a configuration when it
 * comes, and again once polkit has allowed the rest.
 */
typedef gboolean (*KhGateReaches)(GDBusInterfaceSkeleton *skeleton, GVariant *config);

/* For a skeleton that has its gate; without it only the values of @config count. */
void kh_gate_set_reaches(GDBusInterfaceSkeleton *skeleton, KhGateReaches function);

/*
 * The action, or KH_ACTION_FREE, that a method needs whose action is the object's affair, when
 * @uid calls it; static.
 */
typedef const char *(*KhGateAction)(GDBusInterfaceSkeleton *skeleton, guint32 uid);

/* For a skeleton that has its gate; without it such a method is denied. */
void kh_gate_set_action(GDBusInterfaceSkeleton *skeleton, KhGateAction function);

/*
 * Asks, without a prompt, whether the caller of @invocation, a call on @skeleton, may do
 * @action as well.
 */
void kh_gate_ask_async(KhGate *self, GDBusInterfaceSkeleton *skeleton,
                       GDBusMethodInvocation *invocation, const char *action,
                       GAsyncReadyCallback callback, gpointer user_data);

/* Whether he may; a question that failed is a no. */
gboolean kh_gate_ask_finish(KhGate *self, GAsyncResult *result);

/* The uid of the caller of @invocation, which came through a gate. */
guint32 kh_gate_get_caller_uid(GDBusMethodInvocation *invocation);

/* The same with all that a turn needs; what it points to is @invocation's. */
KhCaller kh_gate_get_caller(GDBusMethodInvocation *invocation);

/* Whether "expose" was asked for the call @invocation, and allowed. */
gboolean kh_gate_may_expose(GDBusMethodInvocation *invocation);

G_END_DECLS
