/* SPDX-License-Identifier: MIT */
/*
 * Whether the service is ending and stops what runs: from then on nothing more is started. Made
 * by the daemon, which begins it; asked by whatever starts machines.
 */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define KH_TYPE_SHUTDOWN (kh_shutdown_get_type())
G_DECLARE_FINAL_TYPE(KhShutdown, kh_shutdown, KH, SHUTDOWN, GObject)

/* Signal: "begun", once. */
KhShutdown *kh_shutdown_new(void);

void kh_shutdown_begin(KhShutdown *self);
gboolean kh_shutdown_has_begun(KhShutdown *self);

G_END_DECLS
