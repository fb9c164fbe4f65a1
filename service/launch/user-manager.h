/* SPDX-License-Identifier: MIT */
/*
 * Whether a systemd of its own (systemd --user) serves this user's session bus, so that
 * machines of a session can be its units. Asked by the choice of the launcher, once.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * The control group of the manager on the bus at @address, below the mount of cgroup v2 and
 * with a slash before it: "/user.slice/user-1000.slice/user@1000.service". NULL and
 * KH_ERROR_NOT_SUPPORTED, with the reason, where none answers in some seconds. Blocks: for
 * start-up only. Transfer full.
 */
char *kh_user_manager_find(const char *address, GError **error);

G_END_DECLS
