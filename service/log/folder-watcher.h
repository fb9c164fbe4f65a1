/* SPDX-License-Identifier: MIT */
/*
 * Tells who wants to know that something has happened in a folder. One inotify descriptor
 * serves the whole service: the kernel gives a user 128 of them by default, and as many as
 * anybody likes of what they watch. Used by log streams that follow.
 */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define KH_TYPE_FOLDER_WATCHER (kh_folder_watcher_get_type())
G_DECLARE_FINAL_TYPE(KhFolderWatcher, kh_folder_watcher, KH, FOLDER_WATCHER, GObject)

/* Takes the descriptor with the first watch. Transfer full. */
KhFolderWatcher *kh_folder_watcher_new(void);

/* The first news are told at once, those that follow in a hurry together after this. */
#define KH_FOLDER_REST_MS 100

/* One who watches. */
typedef struct _KhFolderWatch KhFolderWatch;

/*
 * Something was written, made or moved, however often since it was last told; it may remove
 * its own watch and no other.
 */
typedef void (*KhFolderNews)(gpointer user_data);

/*
 * Watches what begins with @prefix in @folder, a descriptor that is not kept.
 * KH_ERROR_RESOURCE_UNAVAILABLE. Owned by @self, to be removed while that lives.
 */
KhFolderWatch *kh_folder_watcher_add(KhFolderWatcher *self, int folder, const char *prefix,
                                     KhFolderNews news, gpointer user_data, GError **error);

void kh_folder_watcher_remove(KhFolderWatcher *self, KhFolderWatch *watch);

G_END_DECLS
