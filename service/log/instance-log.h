/* SPDX-License-Identifier: MIT */
/* Messages about one instance, with the journal's fields for it and who asks; see journal.h. */
#pragma once

#include "model/record.h"

G_BEGIN_DECLS

/* Never give it Katana's arguments, nor a line of a log. */
void kh_log_instance(const KhRecord *record, GLogLevelFlags level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

G_END_DECLS
