/* SPDX-License-Identifier: MIT */
/*
 * The last 4 KiB of a firmware image, made here: filling, SEV metadata and the table of
 * GUIDs as OVMF has them. Used by test-firmware.c and test-measurement.c.
 */
#pragma once

#include <glib.h>

#define TAIL_SIZE 4096
#define TAIL_METADATA 0x800 /* where the metadata begins */
/* Where the table's parts begin: three entries, then its own. */
#define TAIL_TABLE (TAIL_SIZE - 32 - 18 - 22 - 26 - 22)
#define TAIL_ENTRY_METADATA TAIL_TABLE
#define TAIL_ENTRY_HASHES (TAIL_ENTRY_METADATA + 22)
#define TAIL_ENTRY_RESET (TAIL_ENTRY_HASHES + 26)
#define TAIL_FOOTER (TAIL_ENTRY_RESET + 22)

typedef enum {
    TAIL_AMDSEV,  /* with a page for the hashes of a kernel */
    TAIL_GENERIC, /* without */
} TailKind;

/* TAIL_SIZE bytes; transfer full. */
guint8 *tail_new(TailKind kind);

/* Writes a little-endian number. */
void tail_put16(guint8 *place, guint16 value);
void tail_put32(guint8 *place, guint32 value);
