/* SPDX-License-Identifier: MIT */
/*
 * Where the copies of a database lie, and which of them is for its place. Used by whatever finds
 * that it is damaged, foreign or lost.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_COPIES_SUFFIX ".copy"
#define KH_COPIES_OLDER_SUFFIX ".copy.1"

/*
 * Which copy to put in the place of the database at @path, for people: an order. NULL where there
 * is none. Transfer full.
 */
char *kh_copy_advice(const char *path);

G_END_DECLS
