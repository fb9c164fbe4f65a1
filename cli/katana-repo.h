/* SPDX-License-Identifier: MIT */
/* The boot parts that a checkout of Katana has built. Used by launch-options.c. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    char *ovmf;
    char *kernel;
    char *initrd;
    char *others; /* folders with a whole set that was not taken, NULL: none */
} KhKatanaBuild;

/*
 * The first of output/, tee/build/ and misc/AMDSEV/output/ below @repo that has the parts
 * that @build does not name yet. KH_ERROR_NOT_FOUND says what each lacks;
 * KH_ERROR_INVALID_ARGUMENT: two different files could be the firmware.
 */
gboolean kh_katana_repo_find(const char *repo, KhKatanaBuild *build, GError **error);

void kh_katana_build_clear(KhKatanaBuild *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KhKatanaBuild, kh_katana_build_clear)

G_END_DECLS
