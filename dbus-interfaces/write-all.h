/* SPDX-License-Identifier: MIT */
/*
 * The whole of a text into a descriptor. Plain C, since the shim is that, too; used wherever a
 * part that was written would be as bad as none.
 */
#pragma once

#include <stddef.h>

/*
 * Writes the @length bytes at @data to @fd, over interruptions, and waits where it does not
 * block. Returns how many were written: fewer mean errno.
 */
size_t kh_write_all(int fd, const void *data, size_t length);
