/* SPDX-License-Identifier: MIT */
/*
 * What of a new instance this host does not keep: one of a session is stopped by a logout.
 * Said on stderr by create.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/* For a new instance: says what a logout does to it, where it does something. */
void kh_lasting_warn_of_logout(KhCli *cli);

G_END_DECLS
