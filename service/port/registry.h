/* SPDX-License-Identifier: MIT */
/*
 * Chooses TCP ports for instances: one registry for every purpose, kept in the state
 * database. Asked by the manager at create and by the instance before each start.
 */
#pragma once

#include "model/ranges.h"
#include "state/store.h"

G_BEGIN_DECLS

/*
 * The loopback address on which a machine bound to @address is reached from this host: it
 * is forwarded there too, because the service itself may talk to nothing beyond (its unit).
 */
const char *kh_port_loopback(const char *address);

/* Whether that takes a forward of its own: neither is @address that one nor all of them. */
gboolean kh_port_needs_loopback(const char *address);

/*
 * Whether this host can be reached on @address, which is one of IPv4: KH_ERROR_PORT_UNAVAILABLE
 * where it does not have it, KH_ERROR_INVALID_ARGUMENT for a multicast or broadcast address.
 */
gboolean kh_port_check_address(const char *address, GError **error);

/*
 * Whether a listener can be had on exactly @address:@port now, and on the loopback where
 * that is needed. KH_ERROR_PORT_UNAVAILABLE says what is in the way: another program, or an
 * address that the host lacks; KH_ERROR_RESOURCE_UNAVAILABLE, that nothing could be tried.
 */
gboolean kh_port_probe(const char *address, guint16 port, GError **error);

/*
 * @wanted if it is neither an instance's nor bound on @address; for 0 the lowest such
 * port of @range, which is set in @settings_file. Returns 0 and KH_ERROR_PORT_UNAVAILABLE
 * otherwise, or what kh_port_check_address() says. Nothing is reserved before
 * kh_store_insert().
 */
guint16 kh_port_choose(KhStore *store, const KhPortRange *range, const char *address,
                       guint16 wanted, const char *settings_file, GError **error);

G_END_DECLS
