/* SPDX-License-Identifier: MIT */
/*
 * org.katana.Hypervisor.Job of one job: mirrors it as properties, and cancels it. Made by
 * the exporter.
 */
#pragma once

#include "auth/gate.h"
#include "dbus-generated.h"
#include "job/job.h"
#include "manager/manager.h"

G_BEGIN_DECLS

#define KH_TYPE_JOB_OBJECT (kh_job_object_get_type())
G_DECLARE_FINAL_TYPE(KhJobObject, kh_job_object, KH, JOB_OBJECT, KhDbusJobSkeleton)

KhJobObject *kh_job_object_new(KhJob *job, KhManager *manager, KhGate *gate);

G_END_DECLS
