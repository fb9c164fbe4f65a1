/* SPDX-License-Identifier: MIT */
/*
 * What a message is by itself, whoever has sent it: before GDBus reads it, by the header of the
 * call on the wire; after that, and on its way out, by its values. Used by the intake, in any
 * thread.
 */
#pragma once

#include <gio/gio.h>

#include "clients.h"
#include "wire.h"

G_BEGIN_DECLS

#define KH_DBUS "org.freedesktop.DBus"
/* What the bus takes in one message: dbus-daemon(1), max_message_size, less its own header. */
#define KH_MESSAGE_BYTES_MAX (32u * 1024 * 1024 - 4096)

#define KH_CALL_TOO_MUCH                                                                           \
    "The call has more than 4096 values, or more than 512 KiB of values or path; send less"

/* Of its values, by what the header says. */
gsize kh_call_length(const KhWire *call);

/* Whether it is refused for itself. */
gboolean kh_call_is_faulty(const KhWire *call);

gboolean kh_call_is_silent(const KhWire *call);

/* Whether nobody hears what the call would say, and it does nothing else. */
gboolean kh_call_is_in_vain(const KhWire *call);

/* What its sender is told. Static. */
const char *kh_call_refusal(KhAdmission refusal, const KhWire *call);

/*
 * Of the values in its body and in its header; G_MAXSIZE where they are so many that to count
 * their bytes would take long.
 */
gsize kh_message_size(GDBusMessage *message);

gboolean kh_message_is_silent(GDBusMessage *message);

gboolean kh_message_is_answer(GDBusMessage *message);

/* Whether GDBus would answer it in its own thread, at a cost that grows with objects. */
gboolean kh_message_is_taken(GDBusMessage *message);

/*
 * Keeps its values as bytes: as GLib's, which GDBus has made of them, those of a list of short
 * texts need thirty times what counts. The first it keeps by itself, too.
 */
void kh_message_pack(GDBusMessage *message);

/* Whether the bus takes @message, of @bytes of values; what is longer makes it close the
 * connection. */
gboolean kh_message_fits(GDBusMessage *message, gsize bytes);

/* LimitExceeded, as the answer to the call @serial of @sender. Transfer full. */
GDBusMessage *kh_message_refusal(const char *sender, guint32 serial, const char *why);

G_END_DECLS
