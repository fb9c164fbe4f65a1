/* SPDX-License-Identifier: MIT */
/*
 * The hashes of boot components as a release publishes them, build-info.txt: with the firmware
 * they are enough to measure. Used by attest.
 */
#pragma once

#include "measurement.h"

G_BEGIN_DECLS

/*
 * The parts that the file @path describes: the firmware itself from @ovmf, or (NULL) OVMF.fd or
 * ovmf.fd beside it, which must then be that of OVMF_SHA256, kernel and initrd by their hashes
 * alone. KH_ERROR_INVALID_ARGUMENT: what is missing, twice or ill-formed;
 * KH_ERROR_INTEGRITY_MISMATCH: another firmware, or a LAUNCH_MEASUREMENT that the hashes do not
 * have; those of kh_boot_parts_load(). Transfer full.
 */
KhBootParts *kh_build_info_load(const char *path, const char *ovmf, GError **error);

G_END_DECLS
