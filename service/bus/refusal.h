/* SPDX-License-Identifier: MIT */
/* The answer to a call that has come to nothing. Used by the bus objects. */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/* Answers @invocation with @error (both taken), as one of ours: no other domain goes out. */
void kh_refuse_call(GDBusMethodInvocation *invocation, GError *error);

G_END_DECLS
