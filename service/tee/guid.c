/* SPDX-License-Identifier: MIT */
/* GUIDs; see guid.h. */
#include "guid.h"

#include <string.h>

void
kh_guid_from_text(const char *text, guint8 guid[KH_GUID_SIZE])
{
    /* The place of each byte of the text in the stored form. */
    static const guint8 places[KH_GUID_SIZE] = {3, 2, 1,  0,  5,  4,  7,  6,
                                                8, 9, 10, 11, 12, 13, 14, 15};
    guint n = 0;

    for (const char *c = text; c[0] != '\0' && c[1] != '\0' && n < KH_GUID_SIZE; c++) {
        if (*c == '-')
            continue;
        guid[places[n++]] = (guint8)(g_ascii_xdigit_value(c[0]) << 4 | g_ascii_xdigit_value(c[1]));
        c++;
    }
    g_assert(n == KH_GUID_SIZE);
}

gboolean
kh_guid_equal(const guint8 *bytes, const char *text)
{
    guint8 guid[KH_GUID_SIZE];

    kh_guid_from_text(text, guid);
    return memcmp(bytes, guid, KH_GUID_SIZE) == 0;
}
