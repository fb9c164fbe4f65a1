/* SPDX-License-Identifier: MIT */
/*
 * The header of a message as it comes from the wire; D-Bus Specification, "Message Format" and
 * "Marshaling (Wire Format)". Of its fields only those are kept by which it is judged, and no
 * body is looked at. Used by the doorway, which reads messages before GDBus does, and by the
 * intake, which judges them there.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The fixed part, with the length of the fields that follow it. */
#define KH_WIRE_START 16u

/**
 * KhWire:
 * @type: as GDBusMessageType; may be one that GLib does not know
 * @flags: as GDBusMessageFlags
 * @header: bytes of the whole header, with the padding after it
 * @body: bytes of the body
 * @descriptors: how many belong to it
 * @interface: NULL where there is none, as the two after it; they lie in the bytes that were read
 */
typedef struct {
    guint8 type, flags;
    gboolean swapped;
    guint32 serial, fields, body;
    gsize header;
    guint32 descriptors;
    const char *interface, *member, *sender;
} KhWire;

/* Reads KH_WIRE_START bytes. FALSE: no message begins so, or one above the specification's limits.
 */
gboolean kh_wire_read_start(KhWire *wire, const guint8 *bytes);

/*
 * Reads the fields out of all bytes of the header, @bytes. FALSE: they are none, or one of them
 * has a type that no field of the specification has.
 */
gboolean kh_wire_read_fields(KhWire *wire, const guint8 *bytes);

G_END_DECLS
