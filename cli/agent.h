/* SPDX-License-Identifier: MIT */
/*
 * polkit's text agent, for terminals without a desktop (pkttyagent(1)). Started by the
 * client for one retry.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _KhAgent KhAgent;

/* Starts pkttyagent for this process and waits until it has registered; NULL without one. */
KhAgent *kh_agent_start(void);

void kh_agent_stop(KhAgent *agent);

G_END_DECLS
