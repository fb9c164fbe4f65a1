/* SPDX-License-Identifier: MIT */
/*
 * Keeps the logs of earlier boots in boot-<n>/, the highest n being the newest: 5 boots,
 * 128 MiB together, the oldest go first. Called once by shim-run.c before a boot's logs
 * are created.
 */
#pragma once

#include "shim-error.h"

#define KH_SHIM_BOOTS_MAX 5
#define KH_SHIM_BOOTS_BYTES (128ULL << 20)

/*
 * Moves the logs that lie in the folder into a new boot-<n>/ and prunes. What has a log's
 * name but is no regular file of this user with one link is removed instead.
 */
bool kh_shim_boots_archive(int folder, KhShimError *error);
