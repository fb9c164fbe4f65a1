/* SPDX-License-Identifier: MIT */
/*
 * What the systemd launcher asks of systemd (org.freedesktop.systemd1): the few calls about
 * transient units, and waits for these. What a unit does is never taken from one signal:
 * JobRemoved only hastens the next look at the unit itself, so that a lost connection
 * costs time and no truth. Nothing blocks. For use in the main thread.
 */
#pragma once

#include "unit-state.h"

G_BEGIN_DECLS

/*
 * Whether the unit, which lives, is the caller's to end. FALSE and KH_ERROR_NOT_AUTHORIZED
 * when it is another's and is to be left alone; FALSE and any other error when that is not
 * known at the moment. In the place of such a function NULL says that it always is.
 */
typedef gboolean (*KhUnitOwned)(const KhUnitState *state, gpointer data, GError **error);

#define KH_TYPE_SYSTEMD_BUS (kh_systemd_bus_get_type())
G_DECLARE_FINAL_TYPE(KhSystemdBus, kh_systemd_bus, KH, SYSTEMD_BUS, GObject)

/* @address: of the bus; NULL for the system bus. */
KhSystemdBus *kh_systemd_bus_new(const char *address);

/*
 * Starts the transient unit @unit (mode "fail"), @properties being a(sv), and waits until
 * its start has come to an end, whatever that is: the finish function gives the unit's
 * state then. A unit of the same name is told to end and let go of first, for which there
 * is @timeout_ms, too, if it is @owned. KH_ERROR_LAUNCH_FAILED when it is another's, when
 * systemd refuses or is not reached: then nothing was started. KH_ERROR_TIMED_OUT after
 * @timeout_ms: then the unit may be there.
 */
void kh_systemd_bus_start_async(KhSystemdBus *self, const char *unit, GVariant *properties,
                                KhUnitOwned owned, gpointer owned_data, guint timeout_ms,
                                GAsyncReadyCallback callback, gpointer user_data);

/*
 * Waits until no start or stop of @unit is under way; at most @timeout_ms, then
 * KH_ERROR_TIMED_OUT.
 */
void kh_systemd_bus_settle_async(KhSystemdBus *self, const char *unit, guint timeout_ms,
                                 GAsyncReadyCallback callback, gpointer user_data);

/*
 * Waits until @unit is dead, however long that takes; one that is not after @grace_ms is told
 * to end, again and again, if it is @owned. KH_ERROR_NOT_AUTHORIZED as soon as it is seen to
 * be another's, and no other error.
 */
void kh_systemd_bus_end_async(KhSystemdBus *self, const char *unit, KhUnitOwned owned,
                              gpointer owned_data, guint grace_ms, GAsyncReadyCallback callback,
                              gpointer user_data);

/* Of all three. Transfer full. */
KhUnitState *kh_systemd_bus_finish(KhSystemdBus *self, GAsyncResult *result, GError **error);

/* What follows is sent and not waited for; a failure that means something is logged. */

/* Lets systemd forget an ended unit: its failure, and our reference to it. */
void kh_systemd_bus_release(KhSystemdBus *self, const char *unit);

/* Keeps the state of a unit after its end until it is released. */
void kh_systemd_bus_hold(KhSystemdBus *self, const char *unit);

void kh_systemd_bus_stop(KhSystemdBus *self, const char *unit);

/* Changes @unit until its end; @properties is a(sv). */
void kh_systemd_bus_set(KhSystemdBus *self, const char *unit, GVariant *properties);

/* Tells systemd-machined of a virtual machine, @id being a UUID, where there is one. */
void kh_systemd_bus_register(KhSystemdBus *self, const char *id, guint32 leader);

G_END_DECLS
