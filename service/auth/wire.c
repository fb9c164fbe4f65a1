/* SPDX-License-Identifier: MIT */
/* Headers of messages; see wire.h. Everything that is read is bounded by the fields' end. */
#include "wire.h"

#include <gio/gio.h>
#include <string.h>

/* D-Bus Specification, "Message Format" and "Container types": the greatest message and array. */
#define MESSAGE_MAX (128u * 1024 * 1024)
#define ARRAY_MAX (64u * 1024 * 1024)
#define VERSION 1

typedef struct {
    const guint8 *bytes;
    gsize at, end;
    gboolean swapped;
} Reader;

static guint32
number_at(const guint8 *bytes, gboolean swapped)
{
    guint32 number;

    memcpy(&number, bytes, sizeof number);
    return swapped ? GUINT32_SWAP_LE_BE(number) : number;
}

static gsize
align(gsize at, gsize boundary)
{
    return (at + boundary - 1) / boundary * boundary;
}

gboolean
kh_wire_read_start(KhWire *wire, const guint8 *bytes)
{
    guint8 own = G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B';

    if ((bytes[0] != 'l' && bytes[0] != 'B') || bytes[3] != VERSION)
        return FALSE;
    *wire = (KhWire){.type = bytes[1], .flags = bytes[2], .swapped = bytes[0] != own};
    wire->body = number_at(bytes + 4, wire->swapped);
    wire->serial = number_at(bytes + 8, wire->swapped);
    wire->fields = number_at(bytes + 12, wire->swapped);
    if (wire->fields > ARRAY_MAX || wire->body > MESSAGE_MAX)
        return FALSE;
    wire->header = align(KH_WIRE_START + wire->fields, 8);
    return wire->type != 0 && wire->serial != 0 && wire->header + wire->body <= MESSAGE_MAX;
}

static gboolean
skip_to(Reader *self, gsize boundary)
{
    self->at = align(self->at, boundary);
    return self->at <= self->end;
}

static gboolean
read_byte(Reader *self, guint8 *byte)
{
    if (self->at >= self->end)
        return FALSE;
    *byte = self->bytes[self->at++];
    return TRUE;
}

static gboolean
read_number(Reader *self, guint32 *number)
{
    if (!skip_to(self, 4) || self->end - self->at < 4)
        return FALSE;
    *number = number_at(self->bytes + self->at, self->swapped);
    self->at += 4;
    return TRUE;
}

/* Of @length bytes and the one that ends it. */
static gboolean
read_text(Reader *self, gsize length, const char **text)
{
    const char *start = (const char *)self->bytes + self->at;

    if (self->end - self->at <= length || memchr(start, '\0', length + 1) != start + length)
        return FALSE;
    *text = start;
    self->at += length + 1;
    return TRUE;
}

/* One value, of which @text or @number is set. */
static gboolean
read_value(Reader *self, char type, const char **text, guint32 *number)
{
    guint8 length;

    switch (type) {
    case 'u':
        return read_number(self, number);
    case 'g':
        return read_byte(self, &length) && read_text(self, length, text);
    case 's':
    case 'o':
        return read_number(self, number) && read_text(self, *number, text);
    default:
        return FALSE;
    }
}

static gboolean
read_field(Reader *self, KhWire *wire)
{
    const char *type, *text = NULL;
    guint32 number = 0;
    guint8 code, length;

    if (!skip_to(self, 8) || !read_byte(self, &code) || !read_byte(self, &length) ||
        !read_text(self, length, &type) || length != 1 || !read_value(self, *type, &text, &number))
        return FALSE;
    if (code == G_DBUS_MESSAGE_HEADER_FIELD_INTERFACE)
        wire->interface = text;
    else if (code == G_DBUS_MESSAGE_HEADER_FIELD_MEMBER)
        wire->member = text;
    else if (code == G_DBUS_MESSAGE_HEADER_FIELD_SENDER)
        wire->sender = text;
    else if (code == G_DBUS_MESSAGE_HEADER_FIELD_NUM_UNIX_FDS)
        wire->descriptors = *type == 'u' ? number : 0;
    return TRUE;
}

gboolean
kh_wire_read_fields(KhWire *wire, const guint8 *bytes)
{
    Reader reader = {bytes, KH_WIRE_START, KH_WIRE_START + wire->fields, wire->swapped};

    while (reader.at < reader.end)
        if (!read_field(&reader, wire))
            return FALSE;
    return TRUE;
}
