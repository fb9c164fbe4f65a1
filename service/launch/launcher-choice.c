/* SPDX-License-Identifier: MIT */
/* Which launcher; see launcher-choice.h. */
#include "launcher-choice.h"

#include <gio/gio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "direct-launcher.h"
#include "error.h"
#include "systemd-launcher.h"
#include "user-manager.h"

/* Where machines may be units. */
typedef struct {
    char *address;       /* of the bus of the systemd that is asked; NULL: the system bus */
    char *control_group; /* that systemd's */
} Place;

static void
place_clear(Place *place)
{
    g_free(place->address);
    g_free(place->control_group);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Place, place_clear)

static gboolean
find_in_session(Place *place, GError **error)
{
    place->address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SESSION, NULL, error);
    if (place->address != NULL)
        place->control_group = kh_user_manager_find(place->address, error);
    return place->control_group != NULL;
}

/* FALSE with the reason where machines cannot be units of systemd. */
static gboolean
find_place(const KhSettings *settings, Place *place, GError **error)
{
    if (settings->session)
        return find_in_session(place, error);
    if (geteuid() == 0 && sd_booted() > 0) {
        place->control_group = g_strdup("/");
        return TRUE;
    }
    return kh_error_set(error, KH_ERROR_NOT_SUPPORTED, "%s",
                        geteuid() != 0 ? "the service is not root"
                                       : "this system was not booted with systemd");
}

static void
warn_of_direct(gboolean session)
{
    if (session)
        g_warning("launcher is direct, though this session has a systemd of its own: when that "
                  "ends, at a logout or a shutdown, machines are killed and not stopped");
    else
        g_warning("launcher is direct on a system booted with systemd: machines get the service's "
                  "own rights and control group, which its unit must allow");
}

KhLauncher *
kh_launcher_choose(const KhSettings *settings, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_auto(Place) place = {NULL, NULL};
    gboolean found = find_place(settings, &place, &reason);

    if (g_str_equal(settings->launcher, "systemd") && !found) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "launcher is systemd, but %s; set launcher to auto or direct", reason->message);
        return NULL;
    }
    if (found && !g_str_equal(settings->launcher, "direct"))
        return kh_systemd_launcher_new(settings->shim, place.address, place.control_group,
                                       G_MAXUINT);
    if (found)
        warn_of_direct(settings->session);
    else if (settings->session && g_str_equal(settings->launcher, "auto"))
        g_message("Machines are children of the service, not units of systemd: %s",
                  reason->message);
    return kh_direct_launcher_new(settings->shim);
}
