/* SPDX-License-Identifier: MIT */
/*
 * The faults that tests ask for, each in a process of its own that dies with the stand-in.
 * Called once by main.c.
 */
#ifndef STANDIN_FAKE_H
#define STANDIN_FAKE_H

#include "options.h"

void fake_start(const struct options *options);

#endif
