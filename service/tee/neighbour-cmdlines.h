/* SPDX-License-Identifier: MIT */
/* The command lines that somebody may have given instead. Used by mismatch-search.c. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Katana's published measurements are made with this one. */
#define KH_CANONICAL_LUKS_UUID "00000000-0000-0000-0000-000000000001"

typedef struct {
    char *bytes;
    char *label; /* "with a trailing space"; harmless for a terminal */
} KhNeighbourCmdline;

/*
 * @cmdline itself first, then its neighbours, no two alike. @luks_uuid NULL: only the
 * canonical one. Elements are KhNeighbourCmdline; transfer full.
 */
GPtrArray *kh_neighbour_cmdlines(const char *cmdline, const char *luks_uuid);

G_END_DECLS
