/* SPDX-License-Identifier: MIT */
/*
 * The command line of a guest's kernel, which is measured: made here only, for a start, for the
 * measurement that is expected of it, for measure and attest, and for the search for a
 * mismatch.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Of a machine whose disk has no seal; for texts and the default, the rest calls what is below. */
#define KH_KERNEL_CMDLINE "console=ttyS0"

/* What a machine boots with; @luks_uuid is of its sealed disk, or NULL. Transfer full. */
char *kh_kernel_cmdline(const char *luks_uuid);

/* @cmdline with the option that seals, and without it. Transfer full. */
char *kh_kernel_cmdline_seal(const char *cmdline, const char *luks_uuid);
char *kh_kernel_cmdline_unseal(const char *cmdline);

/* Without the blanks that editors and scripts leave at its end. Transfer full. */
char *kh_kernel_cmdline_trim(const char *cmdline);

G_END_DECLS
