/* SPDX-License-Identifier: MIT */
/*
 * How many values a call brings. GLib makes an object of each, which takes more memory and more
 * time than its bytes let expect: of 8 bytes on the wire it makes 270. Used by the intake.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * The values in @body, containers among them; @most where there are as many or more. An array of
 * numbers is kept as bytes, and is one.
 */
guint kh_values_count(GVariant *body, guint most);

G_END_DECLS
