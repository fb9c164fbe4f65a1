/* SPDX-License-Identifier: MIT */
/*
 * The table of hashes by which the firmware knows kernel, initrd and command line again
 * before it boots them. Used by measurement.c.
 */
#pragma once

#include <glib.h>

#include "input-file.h"
#include "vmsa.h"

G_BEGIN_DECLS

/* Bytes of the table, padding included. */
#define KH_KERNEL_HASHES_SIZE 176

/* The SHA-256 that stands for a command line: bytes, then a NUL. NULL is "". */
gboolean kh_kernel_hashes_of_cmdline(const char *cmdline, guint8 sha256[KH_SHA256_SIZE],
                                     GError **error);

/* A page of zeros but for the table at @offset, which leaves room for it. */
void kh_kernel_hashes_fill(guint8 page[KH_PAGE_SIZE], gsize offset,
                           const guint8 cmdline[KH_SHA256_SIZE],
                           const guint8 initrd[KH_SHA256_SIZE],
                           const guint8 kernel[KH_SHA256_SIZE]);

G_END_DECLS
