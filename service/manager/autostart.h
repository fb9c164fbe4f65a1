/* SPDX-License-Identifier: MIT */
/*
 * What is done to all instances at once: those that are to start with the service are
 * started when it begins, all are stopped when it ends, if it is told to. Called by the
 * daemon.
 */
#pragma once

#include "manager.h"

G_BEGIN_DECLS

/*
 * Starts those with "start-at-boot", one after the other, oldest first; what fails is
 * logged. One that an operator has stopped since the host booted is left alone.
 */
void kh_fleet_start(KhManager *manager, const KhHost *host);

/* Stops all that run, together and gracefully; finishes when all have ended. */
void kh_fleet_stop_async(KhManager *manager, GAsyncReadyCallback callback, gpointer user_data);
void kh_fleet_stop_finish(KhManager *manager, GAsyncResult *result);

/*
 * Writes what the database has not taken yet, at the service's end: blocks for some seconds
 * at most, and logs what is lost.
 */
void kh_fleet_save(KhManager *manager);

G_END_DECLS
