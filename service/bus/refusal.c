/* SPDX-License-Identifier: MIT */
/* Refuses a call; see refusal.h. */
#include "refusal.h"

#include "error.h"

void
kh_refuse_call(GDBusMethodInvocation *invocation, GError *error)
{
    g_dbus_method_invocation_take_error(invocation,
                                        kh_error_import(error, KH_ERROR_FAILED, "The service"));
}
