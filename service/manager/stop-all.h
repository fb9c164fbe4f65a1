/* SPDX-License-Identifier: MIT */
/*
 * What becomes of the instances when the service ends: they are stopped, if it is told to,
 * and what the database has not taken is written. Called by the daemon.
 */
#pragma once

#include "manager.h"

G_BEGIN_DECLS

/* Stops all that run, together and gracefully; finishes when all have ended. */
void kh_stop_all_async(KhManager *manager, GAsyncReadyCallback callback, gpointer user_data);
void kh_stop_all_finish(KhManager *manager, GAsyncResult *result);

/*
 * Writes what the database has not taken yet: blocks for some seconds at most, and logs what
 * is lost.
 */
void kh_stop_all_save(KhManager *manager);

G_END_DECLS
