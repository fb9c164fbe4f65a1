/* SPDX-License-Identifier: MIT */
/* Refusals in the journal; see denials.h. A minute begins with the first of them. */
#include "denials.h"

#include "journal.h"

#define LINES_MAX 10
#define WINDOW_SECONDS 60

struct _KhDenials {
    GHashTable *counts; /* uid -> how many in this minute */
    guint window;
};

KhDenials *
kh_denials_new(void)
{
    KhDenials *self = g_new0(KhDenials, 1);

    self->counts = g_hash_table_new(NULL, NULL);
    return self;
}

static void
log_rest(KhDenials *self)
{
    GHashTableIter iter;
    gpointer uid, count;

    g_hash_table_iter_init(&iter, self->counts);
    while (g_hash_table_iter_next(&iter, &uid, &count)) {
        const KhSubject subject = {.caller = GPOINTER_TO_UINT(uid)};

        if (GPOINTER_TO_UINT(count) > LINES_MAX)
            kh_journal_log(G_LOG_LEVEL_MESSAGE, &subject,
                           "Uid %u was denied %u more calls within a minute", GPOINTER_TO_UINT(uid),
                           GPOINTER_TO_UINT(count) - LINES_MAX);
    }
    g_hash_table_remove_all(self->counts);
}

void
kh_denials_free(KhDenials *self)
{
    g_clear_handle_id(&self->window, g_source_remove);
    log_rest(self);
    g_hash_table_unref(self->counts);
    g_free(self);
}

static gboolean
on_window(gpointer data)
{
    KhDenials *self = data;

    self->window = 0;
    log_rest(self);
    return G_SOURCE_REMOVE;
}

void
kh_denials_log(KhDenials *self, guint32 uid, const char *instance, const char *id,
               const char *format, ...)
{
    const KhSubject subject = {.instance = instance, .id = id, .caller = uid};
    gpointer key = GUINT_TO_POINTER(uid);
    guint count = GPOINTER_TO_UINT(g_hash_table_lookup(self->counts, key)) + 1;
    va_list arguments;

    g_hash_table_insert(self->counts, key, GUINT_TO_POINTER(count));
    if (self->window == 0)
        self->window = g_timeout_add_seconds(WINDOW_SECONDS, on_window, self);
    if (count > LINES_MAX)
        return;
    va_start(arguments, format);
    kh_journal_logv(G_LOG_LEVEL_MESSAGE, &subject, format, arguments);
    va_end(arguments);
}
