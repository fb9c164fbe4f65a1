/* SPDX-License-Identifier: MIT */
/*
 * How a folder of the machine's is called from the moment that it lay in the place of a name
 * which the service or the shim needs: with 16 hexadecimal digits after it. Plain C, because the
 * shim has no GLib. Included by instance-dir-removal.c and shim-trash.c.
 */
#pragma once

#define KH_TRASH_PREFIX ".trash-"
