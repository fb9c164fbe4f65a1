/* SPDX-License-Identifier: MIT */
/*
 * What the doctor is told of this host: one description for CheckHost, for create --tee and
 * for the start of a confidential machine, so that they judge alike.
 */
#pragma once

#include "doctor/places.h"
#include "instance/host.h"

G_BEGIN_DECLS

/*
 * This host's places with the service's settings and what its launcher found; the ports of
 * instances are the caller's to add. Reads nothing. Free with kh_places_free().
 */
KhPlaces *kh_host_places_new(const KhHost *host);

G_END_DECLS
