/* SPDX-License-Identifier: MIT */
/*
 * What a configuration may hold: the checks of each key and value, and of those that go
 * together. Every configuration that comes in is made here: the manager's of a request, the
 * store's of a row.
 */
#pragma once

#include "config.h"

G_BEGIN_DECLS

/*
 * Checks @dict (a{sv}) and fills in defaults. KH_ERROR_INVALID_ARGUMENT names the key,
 * what was found and what is allowed. Transfer full.
 */
KhConfig *kh_config_new(GVariant *dict, const KhConfigLimits *limits, GError **error);

/* Reads what kh_config_to_text() wrote; checks types, not the host's limits. */
KhConfig *kh_config_from_text(const char *text, GError **error);

G_END_DECLS
