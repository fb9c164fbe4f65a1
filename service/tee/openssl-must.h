/* SPDX-License-Identifier: MIT */
/* libcrypto's calls that fail for want of memory alone. Private to service/tee. */
#pragma once

#include <glib.h>

/*
 * The process ends where such a call fails, as it does where GLib has no memory. Takes 1 or
 * a pointer for success.
 */
#define kh_openssl_must(call)                                                                      \
    G_STMT_START                                                                                   \
    {                                                                                              \
        if (!(call))                                                                               \
            g_error("libcrypto has failed in " #call);                                             \
    }                                                                                              \
    G_STMT_END
