/* SPDX-License-Identifier: MIT */
/* The SEV hash table; see kernel-hashes.h. */
#include "kernel-hashes.h"

#include <string.h>

#include "guid.h"

/* As QEMU writes it and OvmfPkg's AmdSev build reads it, in this order. */
#define TABLE "9438d606-4f22-4cc9-b479-a793d411fd21"
#define CMDLINE "97d02dd8-bd20-4c94-aa78-e7714d36ab2a"
#define INITRD "44baf731-3a2f-4bd7-9af1-41e29169781d"
#define KERNEL "4de79437-abd2-427f-b835-d5b172d2045b"

#define HEAD_SIZE (KH_GUID_SIZE + 2)
#define ENTRY_SIZE (HEAD_SIZE + KH_SHA256_SIZE)
#define TABLE_SIZE (HEAD_SIZE + 3 * ENTRY_SIZE)

G_STATIC_ASSERT(TABLE_SIZE == 168 && TABLE_SIZE <= KH_KERNEL_HASHES_SIZE);

gboolean
kh_kernel_hashes_of_cmdline(const char *cmdline, guint8 sha256[KH_SHA256_SIZE], GError **error)
{
    const char *bytes = cmdline == NULL ? "" : cmdline;

    return kh_sha256(bytes, strlen(bytes) + 1, sha256, error);
}

static guint8 *
put_head(guint8 *place, const char *guid, guint16 size)
{
    guint16 little = GUINT16_TO_LE(size);

    kh_guid_from_text(guid, place);
    memcpy(place + KH_GUID_SIZE, &little, sizeof little);
    return place + HEAD_SIZE;
}

static guint8 *
put_entry(guint8 *place, const char *guid, const guint8 *sha256)
{
    memcpy(put_head(place, guid, ENTRY_SIZE), sha256, KH_SHA256_SIZE);
    return place + ENTRY_SIZE;
}

void
kh_kernel_hashes_fill(guint8 page[KH_PAGE_SIZE], gsize offset, const guint8 cmdline[KH_SHA256_SIZE],
                      const guint8 initrd[KH_SHA256_SIZE], const guint8 kernel[KH_SHA256_SIZE])
{
    guint8 *place;

    g_assert(offset <= KH_PAGE_SIZE - KH_KERNEL_HASHES_SIZE);
    memset(page, 0, KH_PAGE_SIZE);
    place = put_head(page + offset, TABLE, TABLE_SIZE);
    place = put_entry(place, CMDLINE, cmdline);
    place = put_entry(place, INITRD, initrd);
    put_entry(place, KERNEL, kernel);
}
