/* SPDX-License-Identifier: MIT */
/* Tells systemd that the machine runs, when the shim is a unit. Called by shim-run.c. */
#pragma once

/* READY=1 as one datagram to $NOTIFY_SOCKET (sd_notify(3)); nothing without that. */
void kh_shim_notify_ready(void);
