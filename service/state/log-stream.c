/* SPDX-License-Identifier: MIT */
/*
 * A log sent into a pipe; see log-stream.h. The files serial.log.N … serial.log.1,
 * serial.log are segments, oldest first. Their descriptors are opened at the start, so a
 * rotation meanwhile takes nothing away; after the last one a follower looks for the file
 * that now follows the one it holds, by inode.
 */
#include "log-stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "instance-dir.h"

#define SEGMENTS_MAX 64
#define CHUNK 65536

typedef struct {
    int folder;
    char *name;
    gint64 uid;
    gboolean follow;
    GArray *segments; /* of int: descriptors still to be sent, oldest first */
    off_t offset;     /* in the first of them */
    int pipe;
    int inotify;
    guint writable, broken, news;
    GDestroyNotify closed;
    gpointer user_data;
    char chunk[CHUNK];
    gsize filled, sent;
} Stream;

static void
stream_free(Stream *stream)
{
    g_clear_handle_id(&stream->writable, g_source_remove);
    g_clear_handle_id(&stream->broken, g_source_remove);
    g_clear_handle_id(&stream->news, g_source_remove);
    for (guint i = 0; i < stream->segments->len; i++)
        close(g_array_index(stream->segments, int, i));
    g_array_unref(stream->segments);
    if (stream->pipe >= 0)
        close(stream->pipe);
    if (stream->inotify >= 0)
        close(stream->inotify);
    if (stream->folder >= 0)
        close(stream->folder);
    g_free(stream->name);
    if (stream->closed != NULL)
        stream->closed(stream->user_data);
    g_free(stream);
}

static char *
segment_name(const char *name, guint number)
{
    return number == 0 ? g_strdup(name) : g_strdup_printf("%s.%u", name, number);
}

/* Opens the segments that there are; a missing number ends the row. */
static void
open_segments(Stream *stream)
{
    for (guint i = 0; i < SEGMENTS_MAX; i++) {
        g_autofree char *name = segment_name(stream->name, i);
        int fd = kh_instance_dir_open_file(stream->folder, name, stream->uid, NULL);

        if (fd >= 0)
            g_array_prepend_val(stream->segments, fd);
        else if (i > 0)
            break;
    }
}

static void
drop_first(Stream *stream, guint n)
{
    for (guint i = 0; i < n; i++)
        close(g_array_index(stream->segments, int, i));
    g_array_remove_range(stream->segments, 0, n);
}

/*
 * The offset at which the last @lines lines of @fd begin; what is still missing is left in
 * @lines. A last line without its end counts.
 */
static off_t
find_lines(int fd, guint *lines)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char buffer[4096];

    for (off_t end = size; end > 0;) {
        off_t start = end > (off_t)sizeof buffer ? end - (off_t)sizeof buffer : 0;
        ssize_t n = pread(fd, buffer, (size_t)(end - start), start);

        for (ssize_t i = n - 1; i >= 0; i--) {
            if (buffer[i] != '\n' || start + i == size - 1)
                continue;
            if (--*lines == 0)
                return start + i + 1;
        }
        if (n <= 0)
            break;
        end = start;
    }
    if (size > 0)
        --*lines;
    return 0;
}

/* Drops what comes before the last @lines lines. */
static void
skip_to_last(Stream *stream, guint lines)
{
    for (guint i = stream->segments->len; i-- > 0;) {
        off_t offset = find_lines(g_array_index(stream->segments, int, i), &lines);

        if (lines > 0)
            continue;
        drop_first(stream, i);
        stream->offset = offset;
        return;
    }
}

static gboolean
same_file(int a, int b)
{
    struct stat first, second;

    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

/*
 * Looks for what came after the segment that is held, which has been sent whole. When that
 * is not among the files any more (rotated away, or moved with its boot), all of them did.
 */
static gboolean
find_successors(Stream *stream)
{
    g_autoptr(GArray) held = g_steal_pointer(&stream->segments);
    guint known = 0;

    stream->segments = g_array_new(FALSE, FALSE, sizeof(int));
    open_segments(stream);
    for (guint i = 0; held->len > 0 && i < stream->segments->len; i++)
        if (same_file(g_array_index(stream->segments, int, i), g_array_index(held, int, 0)))
            known = i + 1;
    drop_first(stream, known);
    if (stream->segments->len == 0 && held->len > 0) {
        g_array_append_vals(stream->segments, held->data, held->len);
        return FALSE;
    }
    for (guint i = 0; i < held->len; i++)
        close(g_array_index(held, int, i));
    stream->offset = 0;
    return stream->segments->len > 0;
}

/* Fills the chunk; FALSE when there is nothing more for now. */
static gboolean
fill(Stream *stream)
{
    do {
        while (stream->segments->len > 0) {
            int fd = g_array_index(stream->segments, int, 0);
            ssize_t n = pread(fd, stream->chunk, CHUNK, stream->offset);

            if (n > 0) {
                stream->offset += n;
                stream->filled = (gsize)n;
                stream->sent = 0;
                return TRUE;
            }
            if (stream->segments->len == 1)
                break;
            drop_first(stream, 1);
            stream->offset = 0;
        }
    } while (stream->follow && find_successors(stream));
    return FALSE;
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer data);

static void
wait_for_reader(Stream *stream)
{
    if (stream->writable == 0)
        stream->writable = g_unix_fd_add(stream->pipe, G_IO_OUT, on_writable, stream);
}

/* Sends until the pipe is full or all is sent; FALSE when the stream is over. */
static gboolean
send_some(Stream *stream)
{
    while (stream->sent < stream->filled || fill(stream)) {
        ssize_t n =
            write(stream->pipe, stream->chunk + stream->sent, stream->filled - stream->sent);

        if (n < 0 && errno == EAGAIN) {
            wait_for_reader(stream);
            return TRUE;
        }
        if (n < 0)
            return FALSE;
        stream->sent += (gsize)n;
    }
    return stream->follow;
}

/* A chunk per turn of the main loop would do; a pipe's worth is not much more. */
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

/* The folder is gone when the instance has been deleted. */
static gboolean
folder_is_gone(Stream *stream)
{
    struct stat st;

    return fstat(stream->folder, &st) != 0 || st.st_nlink == 0;
}

static gboolean
on_news(int fd, GIOCondition condition, gpointer data)
{
    Stream *stream = data;
    char events[4096];

    while (read(fd, events, sizeof events) > 0)
        ;
    if (!send_some(stream) || folder_is_gone(stream)) {
        stream->news = 0;
        stream_free(stream);
        return G_SOURCE_REMOVE;
    }
    return G_SOURCE_CONTINUE;
}

/* By way of the descriptor, so that no path is followed. */
static gboolean
watch_folder(Stream *stream, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", stream->folder);

    stream->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (stream->inotify < 0 ||
        inotify_add_watch(stream->inotify, path, IN_MODIFY | IN_CREATE | IN_MOVE | IN_DELETE_SELF) <
            0) {
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The log cannot be followed: %s", g_strerror(errno));
        return FALSE;
    }
    stream->news = g_unix_fd_add(stream->inotify, G_IO_IN, on_news, stream);
    return TRUE;
}

static int
compare_down(gconstpointer a, gconstpointer b)
{
    return *(const guint *)b > *(const guint *)a ? 1 : -1;
}

/* The number of the boot-N folder that is -@boot before the current one; 0 for none. */
static guint
find_boot(int folder, int boot)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint));
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    guint wanted = (guint)(-(gint64)boot);

    while (dir != NULL && (entry = readdir(dir)) != NULL && numbers->len < 1024) {
        guint number;
        int end = 0;

        if (sscanf(entry->d_name, "boot-%9u%n", &number, &end) == 1 && number > 0 &&
            entry->d_name[end] == '\0')
            g_array_append_val(numbers, number);
    }
    if (dir != NULL)
        closedir(dir);
    g_array_sort(numbers, compare_down);
    return wanted >= 1 && wanted <= numbers->len ? g_array_index(numbers, guint, wanted - 1) : 0;
}

static int
open_boot_folder(int folder, int boot, GError **error)
{
    g_autofree char *name = NULL;
    guint number;

    if (boot == 0)
        return openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    number = boot > 0 ? 0 : find_boot(folder, boot);
    if (number == 0) {
        g_set_error(error, KH_ERROR, boot > 0 ? KH_ERROR_INVALID_ARGUMENT : KH_ERROR_NOT_FOUND,
                    "There is no log of boot %d: 0 is the current one, -1 the one before", boot);
        return -1;
    }
    name = g_strdup_printf("boot-%u", number);
    return kh_instance_dir_open(folder, name, error);
}

static Stream *
stream_new(int folder, const KhLogRequest *request, GError **error)
{
    Stream *stream = g_new0(Stream, 1);

    stream->pipe = stream->inotify = -1;
    stream->segments = g_array_new(FALSE, FALSE, sizeof(int));
    stream->name = g_strdup(request->name);
    stream->uid = request->uid;
    stream->follow = request->follow && request->boot == 0;
    stream->folder = open_boot_folder(folder, request->boot, error);
    if (stream->folder >= 0 && (!stream->follow || watch_folder(stream, error)))
        return stream;
    stream_free(stream);
    return NULL;
}

int
kh_log_stream_open(int folder, const KhLogRequest *request, GDestroyNotify closed,
                   gpointer user_data, GError **error)
{
    Stream *stream = stream_new(folder, request, error);
    int pipe[2];

    if (stream == NULL)
        return -1;
    if (!g_unix_open_pipe(pipe, FD_CLOEXEC, error)) {
        stream_free(stream);
        return -1;
    }
    g_unix_set_fd_nonblocking(pipe[1], TRUE, NULL);
    stream->pipe = pipe[1];
    stream->closed = closed;
    stream->user_data = user_data;
    stream->broken = g_unix_fd_add(pipe[1], G_IO_ERR, on_broken, stream);
    open_segments(stream);
    if (request->lines > 0)
        skip_to_last(stream, request->lines);
    wait_for_reader(stream);
    return pipe[0];
}
