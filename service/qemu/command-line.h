/* SPDX-License-Identifier: MIT */
/*
 * The command line of a machine's QEMU (design: "The machine"). Pure: everything it
 * depends on is in KhMachine. Used by the instance for a start, and for "show
 * --qemu-args".
 */
#pragma once

#include "model/config.h"

G_BEGIN_DECLS

/* TCG's translation buffer; part of a machine's memory limit. */
#define KH_TCG_BUFFER_MIB 256

/* SMT allowed, no debugging, no migration agent; bit 17 must be one (AMD 56860, 4.3). */
#define KH_GUEST_POLICY 0x30000
/* SEV_FEATURES as QEMU sets them: SNP alone. */
#define KH_GUEST_FEATURES 0x1

typedef struct {
    const KhConfig *config;
    const char *name;
    const char *accelerator;  /* "kvm" or "tcg" */
    const char *qemu;         /* the binary, for the portable form */
    const char *image_folder; /* portable form: where the boot components lie */
    const char *data_folder;  /* portable form: the instance's folder */
    gboolean simulated;       /* a confidential one starts as an ordinary machine */
    guint c_bit;              /* of a confidential one: the C-bit's place in an address */
    const char *luks_uuid;    /* of a sealed disk; NULL: not sealed */
} KhMachine;

/*
 * QEMU's arguments, without the binary, over the descriptors of launch/shim-protocol.h
 * and with paths relative to the instance's folder. Transfer full.
 */
char **kh_command_line_build(const KhMachine *machine);

/*
 * An equivalent command that a shell can run, binary first: paths for descriptors, the
 * serial port to a file, sockets in the current folder. Transfer full.
 */
char **kh_command_line_build_portable(const KhMachine *machine);

G_END_DECLS
