/* SPDX-License-Identifier: MIT */
/*
 * What people read in the place of the bus's names: "memory" for MemoryBytes, and for a
 * configuration key the word that "create" and "set" take. Used by output.c; JSON keeps the
 * names of the bus.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A property or a configuration key in words; one that is not known, by its name. Transfer full. */
char *kh_words_of(const char *name);

/*
 * A value that stands for none or a default, in words; NULL for any other, and for what has no
 * such value. Static.
 */
const char *kh_words_for_nothing(const char *property, GVariant *value);

G_END_DECLS
