/* SPDX-License-Identifier: MIT */
/* Tests of the doorway and of what it reads of a message: on sockets whose both ends are held. */
#include "auth/doorway.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 20000
#define LONG 100000u

typedef struct {
    KhDoorway *doorway;
    int bus, end;
} Fixture;

/* What has no member comes in, and what is named "in". */
static gboolean
let_in(GDBusConnection *connection, const KhWire *wire)
{
    return wire->member == NULL || g_str_equal(wire->member, "in");
}

static void
open_door(Fixture *f, gboolean greets)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->bus = fds[0];
    f->doorway = kh_doorway_open(fds[1], greets, let_in, &f->end, NULL);
    g_assert_nonnull(f->doorway);
}

static void
set_up(Fixture *f, gconstpointer data)
{
    open_door(f, FALSE);
}

static gssize
receive(int fd, void *buffer, gsize size)
{
    struct pollfd end = {fd, POLLIN, 0};

    g_assert_cmpint(poll(&end, 1, WAIT_MS), ==, 1);
    return recv(fd, buffer, size, 0);
}

static void
expect_end(int fd)
{
    char byte;

    g_assert_cmpint(receive(fd, &byte, 1), <=, 0);
    close(fd);
}

/* One end goes, and the thread lets go of the other. */
static void
tear_down(Fixture *f, gconstpointer data)
{
    close(f->bus);
    expect_end(f->end);
    kh_doorway_unref(f->doorway);
}

static void
send_all(int fd, const void *bytes, gsize size)
{
    for (gsize at = 0; at < size;) {
        gssize count = send(fd, (const guint8 *)bytes + at, size - at, MSG_NOSIGNAL);

        g_assert_cmpint(count, >, 0);
        at += (gsize)count;
    }
}

static void
expect(int fd, const void *bytes, gsize size)
{
    g_autofree guint8 *found = g_malloc(size);

    for (gsize at = 0; at < size;) {
        gssize count = receive(fd, found + at, size - at);

        g_assert_cmpint(count, >, 0);
        at += (gsize)count;
    }
    g_assert_cmpmem(found, size, bytes, size);
}

/* GDBus writes no count of descriptors that are not there. */
static void
claim(guint8 *blob, gsize size, guint32 descriptors)
{
    static const guint8 start[] = {G_DBUS_MESSAGE_HEADER_FIELD_NUM_UNIX_FDS, 1, 'u', 0};
    guint8 *field = memmem(blob, size, start, sizeof start);

    g_assert_nonnull(field);
    descriptors = blob[0] == 'l' ? GUINT32_TO_LE(descriptors) : GUINT32_TO_BE(descriptors);
    memcpy(field + sizeof start, &descriptors, sizeof descriptors);
}

/* Transfer full. */
static GByteArray *
call(const char *member, GDBusMessageByteOrder order, gsize text, guint descriptors)
{
    g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call("a.b", "/", "c.d", member);
    g_autofree char *body = g_strnfill(text, 'x');
    gsize size;
    guint8 *blob;

    g_dbus_message_set_sender(message, ":1.5");
    g_dbus_message_set_serial(message, 7);
    g_dbus_message_set_byte_order(message, order);
    g_dbus_message_set_body(message, g_variant_new("(s)", body));
    if (descriptors > 0)
        g_dbus_message_set_header(message, G_DBUS_MESSAGE_HEADER_FIELD_NUM_UNIX_FDS,
                                  g_variant_new_uint32(0));
    blob = g_dbus_message_to_blob(message, &size, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
    g_assert_nonnull(blob);
    if (descriptors > 0)
        claim(blob, size, descriptors);
    return g_byte_array_new_take(blob, size);
}

static GByteArray *
plain_call(const char *member, gsize text)
{
    return call(member, G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, text, 0);
}

/* Wherever a message is cut on its way, it comes in or does not, in both byte orders. */
static void
splits(Fixture *f, gconstpointer data)
{
    const GDBusMessageByteOrder orders[] = {G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN,
                                            G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN};

    for (guint order = 0; order < G_N_ELEMENTS(orders); order++) {
        g_autoptr(GByteArray) in = call("in", orders[order], 20, 0);
        g_autoptr(GByteArray) out = call("out", orders[order], 20, 0);
        g_autoptr(GByteArray) all = g_byte_array_new();

        g_byte_array_append(all, out->data, out->len);
        g_byte_array_append(all, in->data, in->len);
        for (guint at = 0; at <= all->len; at++) {
            send_all(f->bus, all->data, at);
            g_usleep(200);
            send_all(f->bus, all->data + at, all->len - at);
            expect(f->end, in->data, in->len);
        }
        send_all(f->end, all->data, all->len);
        expect(f->bus, all->data, all->len);
    }
}

static void
long_ones(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) out = plain_call("out", 12 * LONG);
    g_autoptr(GByteArray) in = plain_call("in", LONG);

    for (guint i = 0; i < 100; i++)
        send_all(f->bus, out->data, out->len);
    send_all(f->bus, in->data, in->len);
    expect(f->end, in->data, in->len);
}

/* Whoever reads nothing is not sent more than some MiB. */
static void
back_pressure(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) in = plain_call("in", LONG);
    const int from[] = {f->bus, f->end}, to[] = {f->end, f->bus};

    for (guint i = 0; i < G_N_ELEMENTS(from); i++) {
        struct pollfd end = {from[i], POLLOUT, 0};
        guint sent = 0;

        while (poll(&end, 1, 300) == 1) {
            gssize count = send(from[i], in->data + sent % in->len, in->len - sent % in->len,
                                MSG_DONTWAIT | MSG_NOSIGNAL);

            g_assert_cmpint(count, >, 0);
            sent += (guint)count;
            g_assert_cmpuint(sent, <, 8 * 1024 * 1024);
        }
        for (guint at = 0; at < sent; at += in->len)
            expect(to[i], in->data, MIN(in->len, sent - at));
        send_all(from[i], in->data + sent % in->len, in->len - sent % in->len);
        expect(to[i], in->data + sent % in->len, in->len - sent % in->len);
    }
}

/* --- descriptors ---------------------------------------------------------------------- */

static void
send_with(int fd, const GByteArray *bytes, int descriptor)
{
    union {
        struct cmsghdr header;
        guint8 bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec part = {bytes->data, bytes->len};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};

    memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    g_assert_cmpint(sendmsg(fd, &message, 0), ==, bytes->len);
}

/* What comes with the first byte of a message of @size, as GDBus reads it: -1 for none. */
static int
receive_with(int fd, gsize size)
{
    union {
        struct cmsghdr header;
        guint8 bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    g_autofree guint8 *bytes = g_malloc(size);
    struct iovec part = {bytes, KH_WIRE_START};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    struct pollfd end = {fd, POLLIN, 0};
    int descriptor = -1;

    g_assert_cmpint(poll(&end, 1, WAIT_MS), ==, 1);
    g_assert_cmpint(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), ==, KH_WIRE_START);
    if (message.msg_controllen > 0) {
        g_assert_cmpuint(control.header.cmsg_len, ==, CMSG_LEN(sizeof(int)));
        memcpy(&descriptor, CMSG_DATA(&control.header), sizeof descriptor);
    }
    g_assert_cmpint(receive(fd, bytes, size - KH_WIRE_START), ==, size - KH_WIRE_START);
    return descriptor;
}

/* Sends the end of a pipe with @bytes, and returns the other, which tells when that is closed. */
static int
send_pipe(int fd, const GByteArray *bytes)
{
    int ends[2];

    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    send_with(fd, bytes, ends[1]);
    close(ends[1]);
    return ends[0];
}

/* They go with the message that they came with, in both directions, and with no other. */
static void
descriptors(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) plain = plain_call("in", 5);
    g_autoptr(GByteArray) in = call("in", G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN, 50, 1);
    g_autoptr(GByteArray) out = call("out", G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, 500, 1);
    const int from[] = {f->bus, f->end}, to[] = {f->end, f->bus};

    for (guint i = 0; i < 200; i++) {
        int dropped = i % 2 == 0 ? send_pipe(f->bus, out) : -1, kept, got;

        send_all(from[i % 2], plain->data, plain->len);
        kept = send_pipe(from[i % 2], in);
        send_all(from[i % 2], plain->data, plain->len);
        g_assert_cmpint(receive_with(to[i % 2], plain->len), ==, -1);
        got = receive_with(to[i % 2], in->len);
        g_assert_cmpint(got, >=, 0);
        g_assert_cmpint(receive_with(to[i % 2], plain->len), ==, -1);
        if (dropped >= 0)
            expect_end(dropped);
        close(got);
        expect_end(kept);
    }
}

/* Those that nobody has taken are closed with the doorway. */
static void
descriptors_left(void)
{
    g_autoptr(GByteArray) in = call("in", G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, 10, 1);
    Fixture f;
    int held[3];

    open_door(&f, FALSE);
    held[0] = send_pipe(f.bus, in);
    g_byte_array_set_size(in, in->len - 5);
    held[1] = send_pipe(f.end, in);
    g_byte_array_set_size(in, 10);
    held[2] = send_pipe(f.bus, in);
    close(f.bus);
    close(f.end);
    kh_doorway_unref(f.doorway);
    for (guint i = 0; i < G_N_ELEMENTS(held); i++)
        expect_end(held[i]);
}

/* A message that claims more than came is dropped, and the next is whole. */
static void
descriptors_claimed(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) liar =
        call("in", G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, 10, 4000000000);
    g_autoptr(GByteArray) in = plain_call("in", 5);
    int held = send_pipe(f->bus, liar);

    send_all(f->bus, in->data, in->len);
    expect(f->end, in->data, in->len);
    expect_end(held);
}

/* A process that can have no more descriptors loses the message, and stays on the bus. */
static void
descriptors_lacking(Fixture *f, gconstpointer data)
{
    g_autoptr(GByteArray) with = call("in", G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, 10, 1);
    g_autoptr(GByteArray) in = plain_call("in", 5);
    struct rlimit before, none;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    none = (struct rlimit){3, before.rlim_max};
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    send_with(f->bus, with, f->end);
    send_all(f->bus, in->data, in->len);
    expect(f->end, in->data, in->len);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
}

/* --- the beginning and the end -------------------------------------------------------- */

/* Texts go through as they are, up to "BEGIN", of which another word is no sign. */
static void
greeting(void)
{
    static const char first[] = "\0AUTH EXTERNAL 30\r\nBEGINNING\r\n\r\r\nBEG", rest[] = "IN\r\n";
    g_autoptr(GByteArray) out = plain_call("out", 10);
    g_autoptr(GByteArray) in = plain_call("in", 10);
    Fixture f;

    open_door(&f, TRUE);
    send_all(f.end, first, sizeof first - 1);
    expect(f.bus, first, sizeof first - 1);
    send_all(f.bus, "OK 1234\r\n", 9);
    expect(f.end, "OK 1234\r\n", 9);
    send_all(f.end, rest, sizeof rest - 1);
    send_all(f.end, out->data, out->len);
    expect(f.bus, rest, sizeof rest - 1);
    expect(f.bus, out->data, out->len);
    send_all(f.bus, out->data, out->len);
    send_all(f.bus, in->data, in->len);
    expect(f.end, in->data, in->len);
    tear_down(&f, NULL);
}

/* What was sent before an end went is still had, whichever goes. */
static void
last_words(void)
{
    g_autoptr(GByteArray) in = plain_call("in", 12 * LONG);

    for (guint i = 0; i < 2; i++) {
        Fixture f;

        open_door(&f, FALSE);
        send_all(i == 0 ? f.bus : f.end, in->data, in->len);
        close(i == 0 ? f.bus : f.end);
        expect(i == 0 ? f.end : f.bus, in->data, in->len);
        expect_end(i == 0 ? f.end : f.bus);
        kh_doorway_unref(f.doorway);
    }
}

/* --- headers -------------------------------------------------------------------------- */

/* No message: the bus is not one, and both ends are closed. */
static void
no_messages(void)
{
    const struct {
        guint at;
        guint8 byte;
    } changes[] = {{0, 'x'}, {0, 'B'}, {1, 0}, {3, 2}, {7, 8}, {8, 0}, {15, 4}};

    for (guint i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GByteArray) in = plain_call("in", 10);
        Fixture f;

        in->data[changes[i].at] = changes[i].byte;
        open_door(&f, FALSE);
        send_all(f.bus, in->data, KH_WIRE_START);
        expect_end(f.end);
        expect_end(f.bus);
        kh_doorway_unref(f.doorway);
    }
}

/* However the fields are broken, nothing is read past them. */
static void
broken_fields(void)
{
    g_autoptr(GByteArray) in = call("in", G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN, 10, 1);

    for (guint at = 0; at < in->len; at++) {
        for (guint byte = 0; byte < 256; byte++) {
            g_autofree guint8 *copy = NULL;
            KhWire wire;

            copy = g_memdup2(in->data, in->len);
            copy[at] = (guint8)byte;
            if (!kh_wire_read_start(&wire, copy) || wire.header > in->len)
                continue;
            copy = g_realloc(copy, wire.header);
            if (kh_wire_read_fields(&wire, copy) && wire.sender != NULL)
                g_assert_cmpuint(strlen(wire.sender), <, wire.fields);
        }
    }
}

static void
fields(void)
{
    g_autoptr(GByteArray) in = call("Member", G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN, 10, 3);
    KhWire wire;

    g_assert_true(kh_wire_read_start(&wire, in->data));
    g_assert_true(kh_wire_read_fields(&wire, in->data));
    g_assert_cmpuint(wire.type, ==, G_DBUS_MESSAGE_TYPE_METHOD_CALL);
    g_assert_cmpuint(wire.serial, ==, 7);
    g_assert_cmpuint(wire.body, ==, 15);
    g_assert_cmpuint(wire.header + wire.body, ==, in->len);
    g_assert_cmpuint(wire.descriptors, ==, 3);
    g_assert_cmpstr(wire.sender, ==, ":1.5");
    g_assert_cmpstr(wire.interface, ==, "c.d");
    g_assert_cmpstr(wire.member, ==, "Member");
}

/* Of a header that is too long nothing is kept, and its message goes with it. */
static void
long_headers(Fixture *f, gconstpointer data)
{
    g_autofree char *rest = g_strnfill(2000000, 'x');
    g_autofree char *path = g_strconcat("/", rest, NULL);
    g_autoptr(GDBusMessage) message = g_dbus_message_new_method_call("a.b", path, "c.d", "in");
    g_autoptr(GByteArray) in = plain_call("in", 10);
    g_autofree guint8 *blob = NULL;
    gsize size;

    g_dbus_message_set_serial(message, 7);
    g_dbus_message_set_body(message, g_variant_new("(s)", "x"));
    blob = g_dbus_message_to_blob(message, &size, G_DBUS_CAPABILITY_FLAGS_NONE, NULL);
    send_all(f->bus, blob, size);
    send_all(f->bus, in->data, in->len);
    expect(f->end, in->data, in->len);
}

static void
add(const char *name, void (*test)(Fixture *, gconstpointer))
{
    g_test_add(name, Fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/doorway/splits", splits);
    add("/doorway/long", long_ones);
    add("/doorway/back-pressure", back_pressure);
    add("/doorway/descriptors", descriptors);
    g_test_add_func("/doorway/descriptors-left", descriptors_left);
    add("/doorway/descriptors-claimed", descriptors_claimed);
    add("/doorway/descriptors-lacking", descriptors_lacking);
    g_test_add_func("/doorway/greeting", greeting);
    g_test_add_func("/doorway/last-words", last_words);
    g_test_add_func("/doorway/no-messages", no_messages);
    add("/doorway/long-headers", long_headers);
    g_test_add_func("/wire/broken", broken_fields);
    g_test_add_func("/wire/fields", fields);
    return g_test_run();
}
