/* SPDX-License-Identifier: MIT */
/* Which launcher; see choice.h. */
#include "choice.h"

#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "direct-launcher.h"
#include "error.h"
#include "systemd-launcher.h"

/* Why machines cannot be units of systemd here; NULL where they can. */
static const char *
why_not_systemd(const KhSettings *settings)
{
    if (settings->session)
        return "the service is on the session bus";
    if (geteuid() != 0)
        return "the service is not root";
    if (sd_booted() <= 0)
        return "this system was not booted with systemd";
    return NULL;
}

KhLauncher *
kh_launcher_choose(const KhSettings *settings, GError **error)
{
    const char *reason = why_not_systemd(settings);

    if (g_str_equal(settings->launcher, "systemd") && reason != NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_NOT_SUPPORTED,
                    "launcher is systemd, but %s; set launcher to auto or direct", reason);
        return NULL;
    }
    if (reason == NULL && !g_str_equal(settings->launcher, "direct"))
        return kh_systemd_launcher_new(settings->shim);
    if (reason == NULL)
        g_warning("launcher is direct on a system booted with systemd: machines get the service's "
                  "own rights and control group, which its unit must allow");
    return kh_direct_launcher_new(settings->shim);
}
