/* SPDX-License-Identifier: MIT */
/*
 * Named points at which a test kills the service: every step of create, start, stop, delete
 * and set is followed by one. The installed service has crash-point-none.c, which does
 * nothing; the build option crash_points adds a second program, for the tests alone, with
 * crash-point-armed.c.
 */
#pragma once

/* Ends the process by SIGKILL when @name is the point that the test has chosen. */
void kh_crash_point(const char *name);
