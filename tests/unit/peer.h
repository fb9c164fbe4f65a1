/* SPDX-License-Identifier: MIT */
/* One end of a D-Bus connection without a bus. Used by the tests of intake and turns. */
#pragma once

#include <gio/gio.h>

/* Over the socket @fd (taken), without authentication; transfer full. */
GDBusConnection *peer_connect(int fd);
