/* SPDX-License-Identifier: MIT */
/*
 * The verb attest with the roots that it trusts as a parameter. Called by verb-attest.c with
 * AMD's, and by a program of the tests with its own.
 */
#pragma once

#include "anchors.h"
#include "cli.h"

G_BEGIN_DECLS

/* Runs the whole verb; takes @anchors. Returns the exit code. */
int kh_attest_run(KhCli *cli, KhAnchors *anchors);

G_END_DECLS
