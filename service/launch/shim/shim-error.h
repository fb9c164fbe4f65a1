/* SPDX-License-Identifier: MIT */
/*
 * Errors of the shim: one sentence each, that ends in the ready line and on stderr.
 * Used by every file of the shim.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "launch/shim-protocol.h"

typedef struct {
    char text[KH_SHIM_LINE_MAX - 16];
} KhShimError;

/*
 * Sets the sentence, control characters made harmless, and returns false, so that a
 * function can say `return kh_shim_fail(…)`.
 */
bool kh_shim_fail(KhShimError *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same, with the reason that errno has now appended: ": No such file". */
bool kh_shim_fail_errno(KhShimError *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
