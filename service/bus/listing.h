/* SPDX-License-Identifier: MIT */
/*
 * ListInstances: the chosen properties of all instances, or of a page of them, in the order of
 * their paths; read in pieces between the calls of others. Used by the manager's object.
 */
#pragma once

#include "tree.h"

G_BEGIN_DECLS

/* An answer has at most so many bytes of values; beyond, KH_ERROR_LIMIT_EXCEEDED. */
#define KH_LISTING_BYTES_MAX (16u * 1024 * 1024)

/* Answers @invocation, now or later. @properties and @options are the call's, unchecked. */
void kh_listing_answer(KhTree *tree, KhTurns *turns, GDBusMethodInvocation *invocation,
                       const char *const *properties, GVariant *options);

G_END_DECLS
