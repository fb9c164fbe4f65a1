/* SPDX-License-Identifier: MIT */
/*
 * The one error domain of the project. The service returns it over the bus, the CLI
 * gets the same codes back; every name is "org.katana.Hypervisor.Error." + the code.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define KH_ERROR (kh_error_quark())
#define KH_ERROR_PREFIX_DBUS "org.katana.Hypervisor.Error."

/**
 * KhError:
 * @KH_ERROR_FAILED: anything that fits no other code
 * @KH_ERROR_INVALID_ARGUMENT: a name, number, key or type that cannot be accepted
 * @KH_ERROR_NOT_FOUND: no such instance, image or file
 * @KH_ERROR_ALREADY_EXISTS: the name is taken
 * @KH_ERROR_INVALID_STATE: the operation is not possible in the instance's state
 * @KH_ERROR_BUSY: another operation on the same object is under way
 * @KH_ERROR_NOT_AUTHORIZED: the caller may not do this
 * @KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN: he may after authenticating
 * @KH_ERROR_NOT_AUTHORIZED_DISMISSED: he was asked and declined
 * @KH_ERROR_NOT_SUPPORTED: this host, image or build cannot do it
 * @KH_ERROR_TIMED_OUT: the call's deadline passed; the machine may still get there
 * @KH_ERROR_CANCELLED: the caller or a later operation cancelled it
 * @KH_ERROR_LIMIT_EXCEEDED: a limit of the service or of the sender
 * @KH_ERROR_PORT_UNAVAILABLE: the TCP port is taken, or none is free
 * @KH_ERROR_RESOURCE_UNAVAILABLE: disk space, memory or another resource is short
 * @KH_ERROR_LAUNCH_FAILED: QEMU or its shim could not be started
 * @KH_ERROR_GUEST_FAILED: the guest ended before or while it served
 * @KH_ERROR_MONITOR_LOST: QEMU's monitor does not answer
 * @KH_ERROR_INTEGRITY_MISMATCH: a boot component is not what the instance was pinned to
 */
typedef enum {
    KH_ERROR_FAILED,
    KH_ERROR_INVALID_ARGUMENT,
    KH_ERROR_NOT_FOUND,
    KH_ERROR_ALREADY_EXISTS,
    KH_ERROR_INVALID_STATE,
    KH_ERROR_BUSY,
    KH_ERROR_NOT_AUTHORIZED,
    KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN,
    KH_ERROR_NOT_AUTHORIZED_DISMISSED,
    KH_ERROR_NOT_SUPPORTED,
    KH_ERROR_TIMED_OUT,
    KH_ERROR_CANCELLED,
    KH_ERROR_LIMIT_EXCEEDED,
    KH_ERROR_PORT_UNAVAILABLE,
    KH_ERROR_RESOURCE_UNAVAILABLE,
    KH_ERROR_LAUNCH_FAILED,
    KH_ERROR_GUEST_FAILED,
    KH_ERROR_MONITOR_LOST,
    KH_ERROR_INTEGRITY_MISMATCH,
} KhError;

#define KH_N_ERRORS (KH_ERROR_INTEGRITY_MISMATCH + 1)

/* The quark; the first call registers the names with GDBus, in service and CLI alike. */
GQuark kh_error_quark(void);

/* The short name of @code, "InvalidArgument"; "Failed" for a number out of range. Static. */
const char *kh_error_name(int code);

/* An error of this domain. FALSE, to be returned. */
gboolean kh_error_set(GError **error, KhError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/*
 * "@name cannot be @doing: " and what errno says: KH_ERROR_RESOURCE_UNAVAILABLE where room,
 * descriptors or memory are short, NOT_FOUND, else FAILED. ELOOP is taken for a symbolic link
 * that is not followed. FALSE, to be returned.
 */
gboolean kh_error_set_errno(GError **error, const char *name, const char *doing);

/*
 * Turns a foreign error (GIO, SQLite …) into one of ours so that no other domain
 * crosses the bus: G_IO_ERROR_CANCELLED, _TIMED_OUT, _NO_SPACE and _NOT_FOUND keep
 * their meaning, the rest becomes @fallback. "@prefix: " precedes the message.
 * Takes @error (never NULL); returns a new error, transfer full. One of ours is
 * returned as it is.
 */
GError *kh_error_import(GError *error, KhError fallback, const char *prefix);

G_END_DECLS
