/* SPDX-License-Identifier: MIT */
/* The guest's control channel; see guest-control.h. */
#include "guest-control.h"

#include <stdlib.h>

#include "names.h"

#define REASON_MAX 256

struct _KhGuestControl {
    GObject parent_instance;
    KhLineChannel *channel;
    guint timer;
    gboolean started;
    gboolean stopping;
};

G_DEFINE_FINAL_TYPE(KhGuestControl, kh_guest_control, G_TYPE_OBJECT)

enum { SIGNAL_STARTED, SIGNAL_FAILED, SIGNAL_EXITED, SIGNAL_CLOSED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_guest_control_dispose(GObject *object)
{
    KhGuestControl *self = KH_GUEST_CONTROL(object);

    g_clear_handle_id(&self->timer, g_source_remove);
    if (self->channel != NULL) {
        g_signal_handlers_disconnect_by_data(self->channel, self);
        kh_line_channel_close(self->channel);
    }
    g_clear_object(&self->channel);
    G_OBJECT_CLASS(kh_guest_control_parent_class)->dispose(object);
}

static void
kh_guest_control_class_init(KhGuestControlClass *class)
{
    GType type = KH_TYPE_GUEST_CONTROL;

    G_OBJECT_CLASS(class)->dispose = kh_guest_control_dispose;
    signals[SIGNAL_STARTED] =
        g_signal_new("started", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL, G_TYPE_NONE, 0);
    signals[SIGNAL_FAILED] = g_signal_new("failed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 1, G_TYPE_STRING);
    signals[SIGNAL_EXITED] = g_signal_new("exited", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 1, G_TYPE_INT);
    signals[SIGNAL_CLOSED] = g_signal_new("closed", type, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                          G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
kh_guest_control_init(KhGuestControl *self)
{
}

static void
set_started(KhGuestControl *self)
{
    if (self->started)
        return;
    self->started = TRUE;
    g_signal_emit(self, signals[SIGNAL_STARTED], 0);
}

/* "stopped exit=never" before the first start, "stopped exit=CODE" after Katana's end. */
static void
katana_is_stopped(KhGuestControl *self, const char *exit)
{
    char *end;
    long code = strtol(exit, &end, 10);

    if (end != exit && *end == '\0')
        g_signal_emit(self, signals[SIGNAL_EXITED], 0, (int)CLAMP(code, -1, 255));
    else
        kh_line_channel_send(self->channel, "start");
}

static void
on_line(KhLineChannel *channel, const char *line, KhGuestControl *self)
{
    g_autoptr(KhGuestControl) held = g_object_ref(self);

    if (self->stopping)
        return;
    if (g_str_has_prefix(line, "ok started") || g_str_has_prefix(line, "err already-running") ||
        g_str_has_prefix(line, "running")) {
        set_started(self);
    } else if (g_str_has_prefix(line, "stopped exit=")) {
        katana_is_stopped(self, line + strlen("stopped exit="));
    } else if (g_str_has_prefix(line, "err ") && !self->started) {
        g_autofree char *reason = kh_text_sanitize(line + strlen("err "), REASON_MAX);

        g_signal_emit(self, signals[SIGNAL_FAILED], 0, reason);
    }
}

static void
on_closed(KhLineChannel *channel, const GError *error, KhGuestControl *self)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    g_signal_emit(self, signals[SIGNAL_CLOSED], 0, error);
}

static gboolean
ask(gpointer data)
{
    kh_line_channel_send(KH_GUEST_CONTROL(data)->channel, "status");
    return G_SOURCE_CONTINUE;
}

KhGuestControl *
kh_guest_control_new(KhLineChannel *channel, guint interval_ms)
{
    KhGuestControl *self = g_object_new(KH_TYPE_GUEST_CONTROL, NULL);

    self->channel = g_object_ref(channel);
    g_signal_connect(channel, "line", G_CALLBACK(on_line), self);
    g_signal_connect(channel, "closed", G_CALLBACK(on_closed), self);
    kh_line_channel_begin(channel);
    self->timer = g_timeout_add(interval_ms, ask, self);
    ask(self);
    return self;
}

void
kh_guest_control_stop(KhGuestControl *self)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    self->stopping = TRUE;
    kh_line_channel_send(self->channel, "stop");
}
