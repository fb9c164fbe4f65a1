/* SPDX-License-Identifier: MIT */
/*
 * Katana's arguments, as the guest gets them, which may hold keys; and what comes from the guest
 * without these. Used by the preparation of a machine, and by the instance for what it shows.
 */
#pragma once

#include "config.h"

G_BEGIN_DECLS

/*
 * @text with every value of a Katana argument in it replaced: those of 8 bytes or more,
 * alone or after a "=". For what comes from a guest and is shown to all. Transfer full.
 */
char *kh_config_redact(const KhConfig *config, const char *text);

/* Katana's command line in the guest, one argument per element. Transfer full. */
char **kh_config_guest_args(const KhConfig *config);

G_END_DECLS
