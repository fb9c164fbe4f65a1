/* SPDX-License-Identifier: MIT */
/*
 * A log sent into a pipe; see log-stream.h. The files are opened in a thread, then sent by
 * the main loop, a little at a time.
 */
#include "log-stream.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

#define CHUNK 65536
/* Of one stream in one turn of the main loop, however fast its reader is. */
#define TURN_BYTES (4 * CHUNK)

typedef struct {
    KhLogFiles *files;
    gboolean follow;
    int pipe;
    KhFolderWatcher *watcher;
    KhFolderWatch *watch;
    guint writable, broken;
    GSource *cancelled;
    GDestroyNotify closed;
    gpointer closed_data;
    char chunk[CHUNK];
    gsize filled, sent;
} Stream;

static void
stop_following(Stream *stream)
{
    if (stream->watch != NULL)
        kh_folder_watcher_remove(stream->watcher, g_steal_pointer(&stream->watch));
    stream->follow = FALSE;
}

static void
stream_free(Stream *stream)
{
    stop_following(stream);
    g_clear_handle_id(&stream->writable, g_source_remove);
    g_clear_handle_id(&stream->broken, g_source_remove);
    if (stream->cancelled != NULL)
        g_source_destroy(stream->cancelled);
    g_clear_pointer(&stream->cancelled, g_source_unref);
    g_clear_object(&stream->watcher);
    g_clear_pointer(&stream->files, kh_log_files_free);
    if (stream->pipe >= 0)
        close(stream->pipe);
    if (stream->closed != NULL)
        stream->closed(stream->closed_data);
    g_free(stream);
}

/* Fills the chunk; FALSE when there is nothing more for now. */
static gboolean
fill(Stream *stream)
{
    stream->sent = 0;
    stream->filled = kh_log_files_read(stream->files, stream->chunk, CHUNK);
    if (stream->filled == 0 && stream->follow) {
        kh_log_files_look(stream->files);
        stream->filled = kh_log_files_read(stream->files, stream->chunk, CHUNK);
    }
    return stream->filled > 0;
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer data);

static void
wait_for_reader(Stream *stream)
{
    if (stream->writable == 0)
        stream->writable = g_unix_fd_add(stream->pipe, G_IO_OUT, on_writable, stream);
}

/* Sends until the pipe is full, it was enough, or all is sent; FALSE when it is over. */
static gboolean
send_some(Stream *stream)
{
    for (gsize turn = 0; stream->sent < stream->filled || fill(stream);) {
        ssize_t n;

        if (turn >= TURN_BYTES) {
            wait_for_reader(stream);
            return TRUE;
        }
        n = write(stream->pipe, stream->chunk + stream->sent, stream->filled - stream->sent);
        if (n < 0 && errno == EAGAIN) {
            wait_for_reader(stream);
            return TRUE;
        }
        if (n < 0)
            return FALSE;
        stream->sent += (gsize)n;
        turn += (gsize)n;
    }
    return stream->follow;
}

static gboolean
on_writable(int fd, GIOCondition condition, gpointer data)
{
    Stream *stream = data;

    stream->writable = 0;
    if (!send_some(stream))
        stream_free(stream);
    return G_SOURCE_REMOVE;
}

static gboolean
on_broken(int fd, GIOCondition condition, gpointer data)
{
    Stream *stream = data;

    stream->broken = 0;
    stream_free(stream);
    return G_SOURCE_REMOVE;
}

/* While the reader is waited for there is more to send than it takes. */
static void
on_news(gpointer data)
{
    Stream *stream = data;

    if (stream->writable == 0 && !send_some(stream))
        stream_free(stream);
}

/* What has been written until now is sent, and what comes later is not waited for. */
static gboolean
on_cancelled(GCancellable *cancellable, gpointer data)
{
    Stream *stream = data;

    if (stream->follow)
        kh_log_files_look(stream->files);
    stop_following(stream);
    wait_for_reader(stream);
    return G_SOURCE_REMOVE;
}

typedef struct {
    int folder;
    KhLogRequest request;
    char *name;
    KhFolderWatcher *watcher;
    GDestroyNotify closed;
    gpointer closed_data;
} Opening;

static void
opening_free(gpointer data)
{
    Opening *opening = data;

    if (opening->folder >= 0)
        close(opening->folder);
    g_clear_object(&opening->watcher);
    g_free(opening->name);
    g_free(opening);
}

static void
open_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
    const Opening *opening = data;
    GError *error = NULL;
    KhLogFiles *files = kh_log_files_open(opening->folder, &opening->request, &error);

    if (files != NULL)
        g_task_return_pointer(task, files, (GDestroyNotify)kh_log_files_free);
    else
        g_task_return_error(task, error);
}

void
kh_log_stream_open_async(int folder, const KhLogRequest *request, KhFolderWatcher *watcher,
                         GDestroyNotify closed, gpointer closed_data, GCancellable *cancellable,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
    Opening *opening = g_new0(Opening, 1);

    opening->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    opening->request = *request;
    opening->request.name = opening->name = g_strdup(request->name);
    opening->watcher = watcher == NULL ? NULL : g_object_ref(watcher);
    opening->closed = closed;
    opening->closed_data = closed_data;
    g_task_set_source_tag(task, kh_log_stream_open_async);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, opening, opening_free);
    g_task_run_in_thread(task, open_in_thread);
}

/* Takes @files. What is written after they were opened is found when they have been sent. */
static Stream *
stream_new(KhLogFiles *files, const Opening *opening, GError **error)
{
    Stream *stream = g_new0(Stream, 1);

    stream->files = files;
    stream->pipe = -1;
    stream->follow = opening->request.follow && opening->request.boot == 0;
    if (!stream->follow)
        return stream;
    stream->watcher = g_object_ref(opening->watcher);
    stream->watch = kh_folder_watcher_add(stream->watcher, kh_log_files_folder(files),
                                          opening->request.name, on_news, stream, error);
    if (stream->watch != NULL)
        return stream;
    g_prefix_error(error, "The log cannot be followed: ");
    stream_free(stream);
    return NULL;
}

static void
begin(Stream *stream, const Opening *opening, GCancellable *cancellable)
{
    stream->closed = opening->closed;
    stream->closed_data = opening->closed_data;
    stream->broken = g_unix_fd_add(stream->pipe, G_IO_ERR, on_broken, stream);
    wait_for_reader(stream);
    if (cancellable == NULL)
        return;
    stream->cancelled = g_cancellable_source_new(cancellable);
    g_source_set_callback(stream->cancelled, G_SOURCE_FUNC(on_cancelled), stream, NULL);
    g_source_attach(stream->cancelled, NULL);
}

int
kh_log_stream_open_finish(GAsyncResult *result, GError **error)
{
    GTask *task = G_TASK(result);
    const Opening *opening = g_task_get_task_data(task);
    KhLogFiles *files = g_task_propagate_pointer(task, error);
    Stream *stream = files == NULL ? NULL : stream_new(files, opening, error);
    int pipe[2];

    if (stream == NULL)
        return -1;
    if (!g_unix_open_pipe(pipe, FD_CLOEXEC, error)) {
        stream_free(stream);
        return -1;
    }
    g_unix_set_fd_nonblocking(pipe[1], TRUE, NULL);
    stream->pipe = pipe[1];
    begin(stream, opening, g_task_get_cancellable(task));
    return pipe[0];
}
