/* SPDX-License-Identifier: MIT */
/* Ranges of TCP ports and of uids, as the settings port-range and vm-uid-range have them. */
#pragma once

#include <glib.h>

#define KH_PORT_MAX 65535
#define KH_UID_MAX 4294967293u /* the two above mean "none" and "unmapped" */

G_BEGIN_DECLS

typedef struct {
    guint16 first, last; /* inclusive */
} KhPortRange;

/*
 * What an installed service has, unless its settings say otherwise: two ports for each of the
 * 10,000 instances that there may be, and none that the kernel gives to outgoing connections
 * (ip(7), ip_local_port_range: from 32768).
 */
#define KH_PORT_RANGE_DEFAULT ((KhPortRange){5050, 25049})

typedef struct {
    guint32 first, last; /* inclusive */
} KhUidRange;

/* A block that systemd's list of uids leaves unassigned (uapi-group/systemd UIDS-GIDS). */
#define KH_UID_RANGE_DEFAULT "1879113728-1879179263"

/* Reads "5050-25049". KH_ERROR_INVALID_ARGUMENT unless 1024 <= first <= last <= 65535. */
gboolean kh_port_range_parse(const char *text, KhPortRange *range, GError **error);

/* Reads "FIRST-LAST"; uids below 1000 and the reserved ones are refused. */
gboolean kh_uid_range_parse(const char *text, KhUidRange *range, GError **error);

G_END_DECLS
