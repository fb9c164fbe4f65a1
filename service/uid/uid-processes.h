/* SPDX-License-Identifier: MIT */
/*
 * Whether anything lives under a uid: asked before a uid, or what belongs to it, is given to
 * somebody else. Used by the pool of uids and by the manager. Unknown is not dead: where it
 * could not be looked, something lives.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * One look at all processes, for many questions by kh_uids_include(). NULL when it could not be
 * looked: no descriptors, no memory, no /proc. Transfer full.
 */
GHashTable *kh_uids_of_processes(void);

/*
 * Whether a process had @uid (one of its four) at the time of that look, or has it as its real
 * one now, hidden from /proc; TRUE where @uids is NULL. A zombie is no process.
 */
gboolean kh_uids_include(GHashTable *uids, guint32 uid);

/* The same after a look of its own, which takes milliseconds on a busy host. */
gboolean kh_uid_has_processes(guint32 uid);

G_END_DECLS
