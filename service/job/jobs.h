/* SPDX-License-Identifier: MIT */
/*
 * The registry of jobs: those under way, and those that have ended within the last minute, of
 * which there are at most 1,000. One that somebody still wants to look at stays for longer.
 * Made by the daemon; the exporter shows what is in it.
 */
#pragma once

#include "job.h"

G_BEGIN_DECLS

#define KH_TYPE_JOBS (kh_jobs_get_type())
G_DECLARE_FINAL_TYPE(KhJobs, kh_jobs, KH, JOBS, GObject)

/* Signals: "added" and "removed" (KhJob). */
KhJobs *kh_jobs_new(void);

/* A new job, running. Transfer full; the registry has it, too, until a minute after its end. */
KhJob *kh_jobs_begin(KhJobs *self, const KhJobPlan *plan);

/* @job stays, however long ago it ended, until kh_jobs_release() gets what this gives. */
gpointer kh_jobs_hold(KhJobs *self, KhJob *job);
void kh_jobs_release(gpointer hold);

/* All that are kept, in no order. Owned by the registry. */
GPtrArray *kh_jobs_list(KhJobs *self);

G_END_DECLS
