/* SPDX-License-Identifier: MIT */
/*
 * The tree of objects as clients read it whole: GetManagedObjects and Introspect, which the
 * intake takes from GDBus, and the order of paths for lists. What GetManagedObjects says of
 * each object is kept while clients ask for it, and made anew where it has changed; a tree of
 * thousands is read in pieces between the calls of others (auth/turns.h).
 *
 * Used by the exporter, which adds every object that it exports, and by ListInstances.
 */
#pragma once

#include "auth/turns.h"

G_BEGIN_DECLS

#define KH_TYPE_TREE (kh_tree_get_type())
G_DECLARE_FINAL_TYPE(KhTree, kh_tree, KH, TREE, GObject)

KhTree *kh_tree_new(KhTurns *turns);

void kh_tree_add(KhTree *self, GDBusObjectSkeleton *object);
void kh_tree_remove(KhTree *self, const char *path);

/* Something of the object at @path has changed that its skeleton does not notify. */
void kh_tree_touch(KhTree *self, const char *path);

/* The object whose path comes next after @path, which need not be one's; NULL: none. Not owned. */
GDBusObjectSkeleton *kh_tree_next(KhTree *self, const char *path);

/* Answers the calls that come in over @connection, until it is served by another or none. */
void kh_tree_serve(KhTree *self, GDBusConnection *connection);
void kh_tree_close(KhTree *self, GDBusConnection *connection);

G_END_DECLS
