/* SPDX-License-Identifier: MIT */
/* Refuses a call; see refusal.h. */
#include "refusal.h"

#include "error.h"

/* Paths are any bytes, and stand in messages; GDBus takes UTF-8 only. */
static void
make_valid(GError *error)
{
    char *valid;

    if (g_utf8_validate(error->message, -1, NULL))
        return;
    valid = g_utf8_make_valid(error->message, -1);
    g_free(error->message);
    error->message = valid;
}

void
kh_refuse_call(GDBusMethodInvocation *invocation, GError *error)
{
    GError *own = kh_error_import(error, KH_ERROR_FAILED, "The service");

    make_valid(own);
    g_dbus_method_invocation_take_error(invocation, own);
}
