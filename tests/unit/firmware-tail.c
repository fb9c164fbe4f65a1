/* SPDX-License-Identifier: MIT */
/* A firmware's tail; see firmware-tail.h. */
#include "firmware-tail.h"

#include <string.h>

#include "guid.h"

typedef struct {
    guint32 gpa, size, type;
} Section;

static const Section amdsev[] = {
    {0x800000, 0x9000, 1}, {0x80a000, 0x3000, 1},  {0x80d000, 0x1000, 2}, {0x80e000, 0x1000, 3},
    {0x80f000, 0x1000, 4}, {0x810000, 0x1000, 16}, {0x811000, 0xf000, 1},
};
static const Section generic[] = {
    {0x800000, 0x9000, 1}, {0x80a000, 0x3000, 1},  {0x80d000, 0x1000, 2},
    {0x80e000, 0x1000, 3}, {0x80f000, 0x11000, 1},
};

void
tail_put16(guint8 *place, guint16 value)
{
    place[0] = (guint8)value;
    place[1] = (guint8)(value >> 8);
}

void
tail_put32(guint8 *place, guint32 value)
{
    tail_put16(place, (guint16)value);
    tail_put16(place + 2, (guint16)(value >> 16));
}

static void
put_metadata(guint8 *place, const Section *sections, guint32 n)
{
    memcpy(place, "ASEV", 4);
    tail_put32(place + 4, 16 + 12 * n);
    tail_put32(place + 8, 1);
    tail_put32(place + 12, n);
    for (guint32 i = 0; i < n; i++) {
        tail_put32(place + 16 + 12 * i, sections[i].gpa);
        tail_put32(place + 20 + 12 * i, sections[i].size);
        tail_put32(place + 24 + 12 * i, sections[i].type);
    }
}

static void
put_entry_end(guint8 *entry, guint16 size, const char *guid)
{
    tail_put16(entry + size - 18, size);
    kh_guid_from_text(guid, entry + size - 16);
}

static void
put_table(guint8 *tail, gboolean hashes)
{
    tail_put32(tail + TAIL_ENTRY_METADATA, TAIL_METADATA);
    put_entry_end(tail + TAIL_ENTRY_METADATA, 22, "dc886566-984a-4798-a75e-5585a7bf67cc");
    tail_put32(tail + TAIL_ENTRY_HASHES, hashes ? 0x810c00 : 0);
    tail_put32(tail + TAIL_ENTRY_HASHES + 4, hashes ? 0x400 : 0);
    put_entry_end(tail + TAIL_ENTRY_HASHES, 26, "7255371f-3a3b-4b04-927b-1da6efa8d454");
    tail_put32(tail + TAIL_ENTRY_RESET, 0x80b004);
    put_entry_end(tail + TAIL_ENTRY_RESET, 22, "00f771de-1a7e-4fcb-890e-68c77e2fb44e");
    tail_put16(tail + TAIL_FOOTER, TAIL_FOOTER + 18 - TAIL_TABLE);
    kh_guid_from_text("96b582de-1fb2-45f7-baea-a366c55a082d", tail + TAIL_FOOTER + 2);
}

guint8 *
tail_new(TailKind kind)
{
    guint8 *tail = g_malloc(TAIL_SIZE);

    for (guint32 i = 0; i < TAIL_SIZE; i++)
        tail[i] = (guint8)(i * i * 31 + i * 7 + (kind == TAIL_AMDSEV ? 1 : 2));
    if (kind == TAIL_AMDSEV)
        put_metadata(tail + TAIL_METADATA, amdsev, G_N_ELEMENTS(amdsev));
    else
        put_metadata(tail + TAIL_METADATA, generic, G_N_ELEMENTS(generic));
    put_table(tail, kind == TAIL_AMDSEV);
    return tail;
}
