/* SPDX-License-Identifier: MIT */
/*
 * Folders that lay in the way. They may be of any depth and hold any number of names, so none
 * is emptied where its name is needed: it gets another name at once, and is removed within
 * bounds at each start. Called by shim-folder.c and shim-run.c.
 */
#pragma once

#include <stdbool.h>

/* Gives the folder `name` a name that nobody needs, in the folder `top`. False with errno. */
bool kh_shim_set_aside(int folder, const char *name, int top);

/*
 * Removes the folder `name` where it is, within the bounds of a sweep: of a disk that is too full
 * for another name. True when it has gone.
 */
bool kh_shim_clear(int folder, const char *name);

/*
 * Removes what has been set aside in the folder, by the shim or by the service, for at most two
 * seconds; what is left then is for the next time.
 */
void kh_shim_sweep(int folder);
