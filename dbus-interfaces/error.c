/* SPDX-License-Identifier: MIT */
/* The error domain: one table of names, registered with GDBus. See error.h. */
#include "error.h"

#include <errno.h>

static const GDBusErrorEntry entries[] = {
    {KH_ERROR_FAILED, KH_ERROR_PREFIX_DBUS "Failed"},
    {KH_ERROR_INVALID_ARGUMENT, KH_ERROR_PREFIX_DBUS "InvalidArgument"},
    {KH_ERROR_NOT_FOUND, KH_ERROR_PREFIX_DBUS "NotFound"},
    {KH_ERROR_ALREADY_EXISTS, KH_ERROR_PREFIX_DBUS "AlreadyExists"},
    {KH_ERROR_INVALID_STATE, KH_ERROR_PREFIX_DBUS "InvalidState"},
    {KH_ERROR_BUSY, KH_ERROR_PREFIX_DBUS "Busy"},
    {KH_ERROR_NOT_AUTHORIZED, KH_ERROR_PREFIX_DBUS "NotAuthorized"},
    {KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN, KH_ERROR_PREFIX_DBUS "NotAuthorizedCanObtain"},
    {KH_ERROR_NOT_AUTHORIZED_DISMISSED, KH_ERROR_PREFIX_DBUS "NotAuthorizedDismissed"},
    {KH_ERROR_NOT_SUPPORTED, KH_ERROR_PREFIX_DBUS "NotSupported"},
    {KH_ERROR_TIMED_OUT, KH_ERROR_PREFIX_DBUS "TimedOut"},
    {KH_ERROR_CANCELLED, KH_ERROR_PREFIX_DBUS "Cancelled"},
    {KH_ERROR_LIMIT_EXCEEDED, KH_ERROR_PREFIX_DBUS "LimitExceeded"},
    {KH_ERROR_PORT_UNAVAILABLE, KH_ERROR_PREFIX_DBUS "PortUnavailable"},
    {KH_ERROR_RESOURCE_UNAVAILABLE, KH_ERROR_PREFIX_DBUS "ResourceUnavailable"},
    {KH_ERROR_LAUNCH_FAILED, KH_ERROR_PREFIX_DBUS "LaunchFailed"},
    {KH_ERROR_GUEST_FAILED, KH_ERROR_PREFIX_DBUS "GuestFailed"},
    {KH_ERROR_MONITOR_LOST, KH_ERROR_PREFIX_DBUS "MonitorLost"},
    {KH_ERROR_INTEGRITY_MISMATCH, KH_ERROR_PREFIX_DBUS "IntegrityMismatch"},
};

G_STATIC_ASSERT(G_N_ELEMENTS(entries) == KH_N_ERRORS);

GQuark
kh_error_quark(void)
{
    static gsize quark;

    g_dbus_error_register_error_domain("kh-error-quark", &quark, entries, G_N_ELEMENTS(entries));
    return (GQuark)quark;
}

const char *
kh_error_name(int code)
{
    if (code < 0 || code >= KH_N_ERRORS)
        code = KH_ERROR_FAILED;
    return entries[code].dbus_error_name + strlen(KH_ERROR_PREFIX_DBUS);
}

gboolean
kh_error_set(GError **error, KhError code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_propagate_error(error, g_error_new_valist(KH_ERROR, (int)code, format, arguments));
    va_end(arguments);
    return FALSE;
}

/* Who reads "too many levels" looks for levels, where one link is what is in the way. */
static const char *
text_of_errno(int number)
{
    return number == ELOOP ? "there is a symbolic link in its place, which is not followed"
                           : g_strerror(number);
}

/* Disk space, descriptors, memory: what may be there at another time. */
static gboolean
is_shortage(int number)
{
    return number == ENOSPC || number == EDQUOT || number == EMFILE || number == ENFILE ||
           number == ENOMEM || number == ENOBUFS;
}

gboolean
kh_error_set_errno(GError **error, const char *name, const char *doing)
{
    int saved = errno;
    KhError code = is_shortage(saved) ? KH_ERROR_RESOURCE_UNAVAILABLE
                   : saved == ENOENT  ? KH_ERROR_NOT_FOUND
                                      : KH_ERROR_FAILED;

    g_set_error(error, KH_ERROR, code, "%s cannot be %s: %s", name, doing, text_of_errno(saved));
    return FALSE;
}

static KhError
code_of_foreign(const GError *error, KhError fallback)
{
    if (error->domain != G_IO_ERROR)
        return fallback;
    switch (error->code) {
    case G_IO_ERROR_CANCELLED:
        return KH_ERROR_CANCELLED;
    case G_IO_ERROR_TIMED_OUT:
        return KH_ERROR_TIMED_OUT;
    case G_IO_ERROR_NO_SPACE:
        return KH_ERROR_RESOURCE_UNAVAILABLE;
    case G_IO_ERROR_NOT_FOUND:
        return KH_ERROR_NOT_FOUND;
    default:
        return fallback;
    }
}

GError *
kh_error_import(GError *error, KhError fallback, const char *prefix)
{
    g_autoptr(GError) foreign = error;

    if (foreign->domain == KH_ERROR)
        return g_steal_pointer(&foreign);
    return g_error_new(KH_ERROR, (int)code_of_foreign(foreign, fallback), "%s: %s", prefix,
                       foreign->message);
}
