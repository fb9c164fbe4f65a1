/* SPDX-License-Identifier: MIT */
/*
 * The thread between the bus and GDBus; see doorway.h. A lane for each direction reads a chunk,
 * makes of it what is to be sent, and reads the next while not too much waits to be sent: while
 * GDBus reads a long call, what is dropped behind it keeps nobody waiting.
 */
#include "doorway.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"

#define CHUNK_BYTES (64u * 1024)
/* With as much to be sent, no more is read. */
#define READY_MAX (2u * 1024 * 1024)
/* A message with a longer header is dropped, and nobody is told. */
#define HEADER_MAX (1024u * 1024)
/* Linux passes no more at once: SCM_MAX_FD of the kernel. */
#define DESCRIPTORS_MAX 253u
#define BEGIN "\r\nBEGIN\r\n"

typedef struct {
    int from, to;
    gboolean incoming;
    guint8 chunk[CHUNK_BYTES]; /* what was read; of it is left */
    gsize at, end;
    gboolean ended;      /* nothing more comes */
    GByteArray *header;  /* of the message that begins, as much as has come */
    KhWire wire;         /* of the same */
    gsize rest;          /* bytes of the message that are still to be passed on, or */
    gboolean dropped;    /* not */
    GByteArray *ready;   /* to be sent */
    GArray *descriptors; /* of int, in the order in which they came; the first */
    guint going;         /* of them go with the first byte that is ready */
} Lane;

struct _KhDoorway {
    GWeakRef connection;
    KhDoorwayJudge judge;
    /* The thread's. */
    int bus, end;
    gboolean greeted;
    guint matched; /* bytes of BEGIN */
    Lane in, out;
};

static void
lane_init(Lane *lane, int from, int to)
{
    lane->from = from;
    lane->to = to;
    lane->header = g_byte_array_new();
    lane->ready = g_byte_array_new();
    lane->descriptors = g_array_new(FALSE, FALSE, sizeof(int));
}

/* Closes the first @count. */
static void
close_descriptors(Lane *lane, guint count)
{
    for (guint i = 0; i < count; i++)
        close(g_array_index(lane->descriptors, int, i));
    g_array_remove_range(lane->descriptors, 0, count);
}

static void
lane_clear(Lane *lane)
{
    close_descriptors(lane, lane->descriptors->len);
    g_array_unref(lane->descriptors);
    g_byte_array_unref(lane->header);
    g_byte_array_unref(lane->ready);
}

static void
doorway_clear(gpointer data)
{
    KhDoorway *self = data;

    lane_clear(&self->in);
    lane_clear(&self->out);
    close(self->bus);
    if (self->end >= 0)
        close(self->end);
    g_weak_ref_clear(&self->connection);
}

void
kh_doorway_unref(KhDoorway *self)
{
    g_atomic_rc_box_release_full(self, doorway_clear);
}

/* --- what is read --------------------------------------------------------------------- */

static void
keep_descriptors(Lane *lane, struct msghdr *message)
{
    for (struct cmsghdr *i = CMSG_FIRSTHDR(message); i != NULL; i = CMSG_NXTHDR(message, i)) {
        if (i->cmsg_level == SOL_SOCKET && i->cmsg_type == SCM_RIGHTS)
            g_array_append_vals(lane->descriptors, CMSG_DATA(i),
                                (guint)((i->cmsg_len - CMSG_LEN(0)) / sizeof(int)));
    }
}

/* FALSE: it failed, or there are descriptors that belong to nothing. */
static gboolean
read_chunk(Lane *lane)
{
    union {
        struct cmsghdr header;
        guint8 bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control;
    struct iovec bytes = {lane->chunk, sizeof lane->chunk};
    struct msghdr message = {.msg_iov = &bytes,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t count = recvmsg(lane->from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    keep_descriptors(lane, &message);
    lane->at = 0;
    lane->end = (gsize)count;
    lane->ended = count == 0;
    /* For want of descriptors some may be missing; then their message is dropped. */
    return lane->descriptors->len <= 2 * DESCRIPTORS_MAX;
}

/* --- what is sent --------------------------------------------------------------------- */

static void
attach_descriptors(Lane *lane, struct msghdr *message)
{
    gsize size = lane->going * sizeof(int);
    struct cmsghdr *header = message->msg_control;

    if (lane->going == 0) {
        message->msg_control = NULL;
        message->msg_controllen = 0;
        return;
    }
    message->msg_controllen = CMSG_SPACE(size);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), lane->descriptors->data, size);
}

/* As much as is taken. FALSE: the other end is gone. */
static gboolean
send_ready(Lane *lane)
{
    union {
        struct cmsghdr header;
        guint8 bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    } control = {0};
    struct iovec bytes = {lane->ready->data, lane->ready->len};
    struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control};
    ssize_t count;

    if (bytes.iov_len == 0)
        return TRUE;
    attach_descriptors(lane, &message);
    count = sendmsg(lane->to, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    close_descriptors(lane, lane->going);
    lane->going = 0;
    g_byte_array_remove_range(lane->ready, 0, (guint)count);
    return TRUE;
}

/* --- texts and messages --------------------------------------------------------------- */

/* All that is left in the chunk, or what GDBus sends up to the messages. */
static void
take_text(KhDoorway *self, Lane *lane)
{
    gsize start = lane->at;

    if (lane->incoming)
        lane->at = lane->end;
    while (lane->at < lane->end && !self->greeted) {
        char byte = (char)lane->chunk[lane->at++];

        if (byte != BEGIN[self->matched])
            self->matched = 0;
        if (byte == BEGIN[self->matched])
            self->matched++;
        self->greeted = BEGIN[self->matched] == '\0';
    }
    g_byte_array_append(lane->ready, lane->chunk + start, (guint)(lane->at - start));
}

static void
take_body(Lane *lane)
{
    gsize count = MIN(lane->rest, lane->end - lane->at);

    if (!lane->dropped)
        g_byte_array_append(lane->ready, lane->chunk + lane->at, (guint)count);
    lane->at += count;
    lane->rest -= count;
}

static gboolean
may_pass(KhDoorway *self, Lane *lane)
{
    g_autoptr(GDBusConnection) connection = NULL;

    if (!kh_wire_read_fields(&lane->wire, lane->header->data) ||
        lane->wire.descriptors > lane->descriptors->len || lane->wire.descriptors > DESCRIPTORS_MAX)
        return FALSE;
    if (!lane->incoming)
        return TRUE;
    connection = g_weak_ref_get(&self->connection);
    return self->judge(connection, &lane->wire);
}

/* Of a message whose header is there; where descriptors are held, nothing else is ready. */
static void
decide(KhDoorway *self, Lane *lane)
{
    lane->dropped = !may_pass(self, lane);
    if (lane->dropped) {
        close_descriptors(lane, MIN(lane->wire.descriptors, lane->descriptors->len));
    } else {
        g_byte_array_append(lane->ready, lane->header->data, lane->header->len);
        lane->going = lane->wire.descriptors;
    }
    lane->rest = lane->wire.body;
    g_byte_array_unref(lane->header);
    lane->header = g_byte_array_new();
}

/* None of its header is kept. Its descriptors came with it, and no others after them. */
static void
drop(Lane *lane)
{
    lane->dropped = TRUE;
    lane->rest = lane->wire.header - KH_WIRE_START + lane->wire.body;
    close_descriptors(lane, lane->descriptors->len);
    g_byte_array_set_size(lane->header, 0);
}

/* More of a header, up to @wanted bytes; TRUE when it has them. */
static gboolean
fill_header(Lane *lane, gsize wanted)
{
    gsize count = MIN(wanted - lane->header->len, lane->end - lane->at);

    g_byte_array_append(lane->header, lane->chunk + lane->at, (guint)count);
    lane->at += count;
    return lane->header->len == wanted;
}

/* FALSE: it is none. */
static gboolean
take_header(KhDoorway *self, Lane *lane)
{
    if (lane->header->len < KH_WIRE_START) {
        if (!fill_header(lane, KH_WIRE_START))
            return TRUE;
        if (!kh_wire_read_start(&lane->wire, lane->header->data))
            return FALSE;
        if (lane->wire.header > HEADER_MAX) {
            drop(lane);
            return TRUE;
        }
    }
    if (fill_header(lane, lane->wire.header))
        decide(self, lane);
    return TRUE;
}

/* --- the thread ----------------------------------------------------------------------- */

/*
 * Makes something of the chunk, and sends it. A message begins when all before it is sent where
 * descriptors are held, which go with its first byte. FALSE: it is over.
 */
static gboolean
work(KhDoorway *self, Lane *lane)
{
    while (lane->at < lane->end) {
        if (lane->descriptors->len > 0 && lane->rest == 0 && lane->ready->len > 0) {
            if (!send_ready(lane))
                return FALSE;
            if (lane->ready->len > 0)
                return TRUE;
        }
        if (!self->greeted)
            take_text(self, lane);
        else if (lane->rest > 0)
            take_body(lane);
        else if (!take_header(self, lane))
            return FALSE;
    }
    return send_ready(lane);
}

static gboolean
wants_more(const Lane *lane)
{
    return !lane->ended && lane->at == lane->end && lane->ready->len < READY_MAX;
}

/* FALSE: it is over. */
static gboolean
step(KhDoorway *self, Lane *lane, gboolean readable)
{
    if (readable && !read_chunk(lane))
        return FALSE;
    return work(self, lane) && (!lane->ended || lane->ready->len > 0);
}

/* Nothing is waited for at an end that only has to say that it is gone. */
static struct pollfd
wait_at(int fd, const Lane *from, const Lane *to)
{
    short events = (short)((wants_more(from) ? POLLIN : 0) | (to->ready->len > 0 ? POLLOUT : 0));

    return (struct pollfd){events == 0 ? -1 : fd, events, 0};
}

static gpointer
run(gpointer data)
{
    KhDoorway *self = data;
    gboolean goes_on = TRUE;

    while (goes_on) {
        struct pollfd ends[] = {wait_at(self->bus, &self->in, &self->out),
                                wait_at(self->end, &self->out, &self->in)};

        if (poll(ends, G_N_ELEMENTS(ends), -1) < 0)
            goes_on = errno == EINTR;
        else
            goes_on =
                step(self, &self->in, ends[0].revents != 0 && (ends[0].events & POLLIN) != 0) &&
                step(self, &self->out, ends[1].revents != 0 && (ends[1].events & POLLIN) != 0);
    }
    shutdown(self->bus, SHUT_RDWR);
    shutdown(self->end, SHUT_RDWR);
    kh_doorway_unref(self);
    return NULL;
}

KhDoorway *
kh_doorway_open(int bus, gboolean greets, KhDoorwayJudge judge, int *end, GError **error)
{
    g_autoptr(KhDoorway) self = g_atomic_rc_box_new0(KhDoorway);
    GThread *thread;
    int ends[2] = {-1, -1};
    gboolean paired = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;

    g_weak_ref_init(&self->connection, NULL);
    self->judge = judge;
    self->bus = bus;
    self->end = ends[0];
    self->greeted = !greets;
    self->in.incoming = TRUE;
    lane_init(&self->in, bus, self->end);
    lane_init(&self->out, self->end, bus);
    if (!paired) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "The sockets for the bus cannot be made: %s",
                    g_strerror(errno));
        return NULL;
    }
    thread = g_thread_try_new("doorway", run, g_atomic_rc_box_acquire(self), error);
    if (thread == NULL) {
        close(ends[1]);
        kh_doorway_unref(self);
        return NULL;
    }
    g_thread_unref(thread);
    *end = ends[1];
    return g_steal_pointer(&self);
}

void
kh_doorway_set_connection(KhDoorway *self, GDBusConnection *connection)
{
    g_weak_ref_set(&self->connection, connection);
}

/* --- to a bus ------------------------------------------------------------------------- */

static void
on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    GError *error = NULL;
    GDBusConnection *connection = g_dbus_connection_new_finish(result, &error);

    if (connection == NULL) {
        g_task_return_error(task, error);
        return;
    }
    kh_doorway_set_connection(g_object_get_data(G_OBJECT(task), "doorway"), connection);
    g_task_return_pointer(task, connection, g_object_unref);
}

/* The stream for GDBus in the place of @stream, the bus's; NULL with an error. */
static GSocketConnection *
put_between(GTask *task, GIOStream *stream, GError **error)
{
    g_autoptr(GSocket) socket = NULL;
    KhDoorway *doorway;
    int end, bus = -1;

    if (G_IS_SOCKET_CONNECTION(stream))
        bus = fcntl(g_socket_get_fd(g_socket_connection_get_socket(G_SOCKET_CONNECTION(stream))),
                    F_DUPFD_CLOEXEC, 0);
    if (bus < 0) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                    "The bus's address does not lead to a socket");
        return NULL;
    }
    doorway = kh_doorway_open(bus, TRUE, g_task_get_task_data(task), &end, error);
    if (doorway == NULL)
        return NULL;
    g_object_set_data_full(G_OBJECT(task), "doorway", doorway, (GDestroyNotify)kh_doorway_unref);
    socket = g_socket_new_from_fd(end, error);
    if (socket == NULL) {
        close(end);
        return NULL;
    }
    return g_socket_connection_factory_create_connection(socket);
}

static void
on_stream(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    g_autoptr(GSocketConnection) end = NULL;
    g_autoptr(GIOStream) stream = NULL;
    GError *error = NULL;

    stream = g_dbus_address_get_stream_finish(result, NULL, &error);
    if (stream != NULL)
        end = put_between(task, stream, &error);
    if (end == NULL)
        g_task_return_error(task, error);
    else
        g_dbus_connection_new(G_IO_STREAM(end), NULL,
                              G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                  G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                              NULL, NULL, on_connected, g_steal_pointer(&task));
}

void
kh_doorway_connect_async(const char *address, KhDoorwayJudge judge, GAsyncReadyCallback callback,
                         gpointer data)
{
    GTask *task = g_task_new(NULL, NULL, callback, data);

    g_task_set_source_tag(task, kh_doorway_connect_async);
    g_task_set_task_data(task, judge, NULL);
    g_dbus_address_get_stream(address, NULL, on_stream, task);
}

GDBusConnection *
kh_doorway_connect_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
