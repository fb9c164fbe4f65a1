/* SPDX-License-Identifier: MIT */
/*
 * Attestation reports and checks for people and as JSON. Used by the verbs that show or verify
 * reports.
 */
#pragma once

#include <json-glib/json-glib.h>

#include "verifier.h"

G_BEGIN_DECLS

/* Every field of @report, its security versions in the layout of @product; transfer full. */
JsonObject *kh_report_output_fields(const KhReport *report, KhProduct product);

/* The fields of an object, one line each. */
void kh_report_output_text(JsonObject *fields);

/* An array of objects: id, status, reason, expected, actual, source; transfer full. */
JsonArray *kh_report_output_checks(const KhChecks *checks);

/* One line for each check, with what is wrong below it. */
void kh_report_output_checks_text(const KhChecks *checks);

/* Leaf, intermediate, root, as far as there are: role, subject, file, sha256. Transfer full. */
JsonArray *kh_report_output_path(const KhChain *chain);

/* The same, one line each. */
void kh_report_output_path_text(const KhChain *chain);

/* "csp_id", where a VLEK names the cloud provider; the text of the path ends with it. */
void kh_report_output_add_provider(JsonObject *object, const KhChain *chain);

G_END_DECLS
