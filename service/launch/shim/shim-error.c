/* SPDX-License-Identifier: MIT */
/* Errors of the shim as one bounded, printable sentence. Called from all of it. */
#include "shim-error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void
make_printable(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
}

bool
kh_shim_fail(KhShimError *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    make_printable(error->text);
    return false;
}

bool
kh_shim_fail_errno(KhShimError *error, const char *format, ...)
{
    const char *reason = strerrordesc_np(errno);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    /* The reason matters more than the end of a long path. */
    size_t room = sizeof error->text - 80;
    size_t length = strnlen(error->text, room);
    snprintf(error->text + length, sizeof error->text - length, ": %s",
             reason != NULL ? reason : "unknown error");
    make_printable(error->text);
    return false;
}
