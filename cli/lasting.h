/* SPDX-License-Identifier: MIT */
/*
 * What of a configuration this host does not keep: an instance that is to start with the host
 * though nothing starts the service then, one of a session that a logout will stop. Said on
 * stderr by create and set.
 */
#pragma once

#include "cli.h"

G_BEGIN_DECLS

/* For an instance that is to start at boot: warns where the service's unit is not enabled. */
void kh_lasting_warn_of_boot(KhCli *cli);

/* For a new instance: says what a logout does to it, where it does something. */
void kh_lasting_warn_of_logout(KhCli *cli);

G_END_DECLS
