/* SPDX-License-Identifier: MIT */
/* Lines over a socket; see line-channel.h. */
#include "line-channel.h"

#include <string.h>
#include <unistd.h>

#include "error.h"
#include "state/instance-dir.h"

#define CHUNK 16384

struct _KhLineChannel {
    GObject parent_instance;
    GSocketConnection *connection;
    GCancellable *cancellable;
    GByteArray *received; /* what has no line feed yet */
    GByteArray *unsent;
    char *sending; /* being written */
    guint8 chunk[CHUNK];
    gint64 interval; /* monotonic; when the current one began */
    gsize spent;     /* in it */
    guint rest;      /* until the next one begins */
};

G_DEFINE_FINAL_TYPE(KhLineChannel, kh_line_channel, G_TYPE_OBJECT)

enum { SIGNAL_LINE, SIGNAL_CLOSED, N_SIGNALS };

static guint signals[N_SIGNALS];

static void
kh_line_channel_finalize(GObject *object)
{
    KhLineChannel *self = KH_LINE_CHANNEL(object);

    g_clear_handle_id(&self->rest, g_source_remove);
    g_clear_object(&self->connection);
    g_object_unref(self->cancellable);
    g_byte_array_unref(self->received);
    g_byte_array_unref(self->unsent);
    g_free(self->sending);
    G_OBJECT_CLASS(kh_line_channel_parent_class)->finalize(object);
}

static void
kh_line_channel_class_init(KhLineChannelClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_line_channel_finalize;
    signals[SIGNAL_LINE] = g_signal_new("line", KH_TYPE_LINE_CHANNEL, G_SIGNAL_RUN_LAST, 0, NULL,
                                        NULL, NULL, G_TYPE_NONE, 1, G_TYPE_STRING);
    signals[SIGNAL_CLOSED] = g_signal_new("closed", KH_TYPE_LINE_CHANNEL, G_SIGNAL_RUN_LAST, 0,
                                          NULL, NULL, NULL, G_TYPE_NONE, 1, G_TYPE_ERROR);
}

static void
kh_line_channel_init(KhLineChannel *self)
{
    self->cancellable = g_cancellable_new();
    self->received = g_byte_array_new();
    self->unsent = g_byte_array_new();
}

KhLineChannel *
kh_line_channel_connect(int folder_fd, const char *name, uid_t uid, GError **error)
{
    pid_t pid;
    int fd = kh_instance_dir_connect(folder_fd, name, uid, &pid, error);

    return fd < 0 ? NULL : kh_line_channel_new_for_fd(fd, error);
}

KhLineChannel *
kh_line_channel_new_for_fd(int fd, GError **error)
{
    g_autoptr(GSocket) socket = g_socket_new_from_fd(fd, error);
    KhLineChannel *self;

    if (socket == NULL) {
        close(fd);
        return NULL;
    }
    self = g_object_new(KH_TYPE_LINE_CHANNEL, NULL);
    self->connection = g_socket_connection_factory_create_connection(socket);
    return self;
}

/* Closes and says so, unless it has been closed already. */
static void
fail(KhLineChannel *self, const char *reason)
{
    g_autoptr(GError) error = NULL;

    if (g_cancellable_is_cancelled(self->cancellable))
        return;
    kh_line_channel_close(self);
    error = g_error_new(KH_ERROR, KH_ERROR_MONITOR_LOST, "The connection was lost: %s", reason);
    g_signal_emit(self, signals[SIGNAL_CLOSED], 0, error);
}

static void go_on(KhLineChannel *self);

static gboolean
on_rest_over(gpointer data)
{
    g_autoptr(KhLineChannel) self = g_object_ref(data);

    self->rest = 0;
    go_on(self);
    return G_SOURCE_REMOVE;
}

/*
 * A guest or a QEMU that sends without end is slowed down by what it sends into: else it would
 * have the service's processor, which no limit of the machine counts.
 */
static void
spend(KhLineChannel *self, gsize cost)
{
    gint64 now = g_get_monotonic_time();

    if (now - self->interval >= KH_LINE_INTERVAL_MS * 1000) {
        self->interval = now;
        self->spent = 0;
    }
    self->spent += cost;
    if (self->spent >= KH_LINE_BURST && self->rest == 0)
        self->rest = g_timeout_add(KH_LINE_INTERVAL_MS, on_rest_over, self);
}

/* The first whole line, taken out; NULL: none has come. Transfer full. */
static char *
take_line(KhLineChannel *self)
{
    const guint8 *begin = self->received->data;
    const guint8 *feed = memchr(begin, '\n', self->received->len);
    char *line = feed == NULL ? NULL : g_strndup((const char *)begin, (gsize)(feed - begin));

    if (line == NULL)
        return NULL;
    g_byte_array_remove_range(self->received, 0, (guint)(feed - begin) + 1);
    return g_strchomp(line);
}

static void read_more(KhLineChannel *self);

/* Hands out whole lines, then reads on; both end where a handler closes, or a rest begins. */
static void
go_on(KhLineChannel *self)
{
    while (!g_cancellable_is_cancelled(self->cancellable) && self->rest == 0) {
        g_autofree char *line = take_line(self);

        if (line != NULL) {
            spend(self, KH_LINE_COST);
            g_signal_emit(self, signals[SIGNAL_LINE], 0, line);
        } else if (self->received->len > KH_LINE_MAX) {
            fail(self, "a line was too long");
        } else {
            read_more(self);
            return;
        }
    }
}

static void
read_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhLineChannel) self = data;
    g_autoptr(GError) error = NULL;
    gssize n = g_input_stream_read_finish(G_INPUT_STREAM(source), result, &error);

    if (g_cancellable_is_cancelled(self->cancellable))
        return;
    if (n <= 0) {
        fail(self, error != NULL ? error->message : "the other side has closed it");
        return;
    }
    g_byte_array_append(self->received, self->chunk, (guint)n);
    spend(self, (gsize)n + KH_LINE_COST);
    go_on(self);
}

static void
read_more(KhLineChannel *self)
{
    GInputStream *input = g_io_stream_get_input_stream(G_IO_STREAM(self->connection));

    g_input_stream_read_async(input, self->chunk, sizeof self->chunk, G_PRIORITY_DEFAULT,
                              self->cancellable, read_done, g_object_ref(self));
}

void
kh_line_channel_begin(KhLineChannel *self)
{
    read_more(self);
}

static void write_more(KhLineChannel *self);

static void
write_done(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(KhLineChannel) self = data;
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&self->sending, g_free);
    if (g_output_stream_write_all_finish(G_OUTPUT_STREAM(source), result, NULL, &error))
        write_more(self);
    else if (!g_cancellable_is_cancelled(self->cancellable))
        fail(self, error->message);
}

static void
write_more(KhLineChannel *self)
{
    GOutputStream *output = g_io_stream_get_output_stream(G_IO_STREAM(self->connection));
    gsize length = self->unsent->len;

    if (self->sending != NULL || length == 0 || g_cancellable_is_cancelled(self->cancellable))
        return;
    self->sending = g_memdup2(self->unsent->data, length);
    g_byte_array_set_size(self->unsent, 0);
    g_output_stream_write_all_async(output, self->sending, length, G_PRIORITY_DEFAULT,
                                    self->cancellable, write_done, g_object_ref(self));
}

void
kh_line_channel_send(KhLineChannel *self, const char *line)
{
    if (g_cancellable_is_cancelled(self->cancellable))
        return;
    g_byte_array_append(self->unsent, (const guint8 *)line, (guint)strlen(line));
    g_byte_array_append(self->unsent, (const guint8 *)"\n", 1);
    if (self->unsent->len > KH_LINE_MAX)
        fail(self, "the other side does not read");
    else
        write_more(self);
}

void
kh_line_channel_close(KhLineChannel *self)
{
    g_cancellable_cancel(self->cancellable);
    g_clear_handle_id(&self->rest, g_source_remove);
    if (self->connection != NULL)
        g_socket_shutdown(g_socket_connection_get_socket(self->connection), TRUE, TRUE, NULL);
}
