/* SPDX-License-Identifier: MIT */
/*
 * What the service needs besides QEMU: the checks "e2fsprogs", "build-tools", "launcher",
 * "limits", "disk" and "ports" of the doctor.
 */
#pragma once

#include "findings.h"
#include "check-context.h"

G_BEGIN_DECLS

/* Blocks: it tries every port of the range. */
void kh_service_place_check(const KhCheckContext *context, KhFindings *findings);

G_END_DECLS
