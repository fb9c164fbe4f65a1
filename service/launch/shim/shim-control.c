/* SPDX-License-Identifier: MIT */
/* The control relay of the shim. */
#include "shim-control.h"

#include <string.h>
#include <unistd.h>

#include "shim-folder.h"

static const char stop_command[] = "stop\n";

#define COMMANDS_SIZE 4096
#define REPLIES_SIZE (16 * 1024)
/* Kept free of a client's bytes for what the shim says itself. */
#define RESERVE sizeof stop_command

enum { SLOT_LISTENER, SLOT_GUEST, SLOT_CLIENT };

bool
kh_shim_control_init(KhShimControl *control, int listener, int guest, uid_t service_uid,
                     KhShimError *error)
{
    *control = (KhShimControl){.listener = listener,
                               .guest = guest,
                               .client = -1,
                               .service_uid = service_uid,
                               .last_from_guest = '\n'};
    return (kh_shim_buffer_init(&control->to_guest, COMMANDS_SIZE + RESERVE) &&
            kh_shim_buffer_init(&control->to_client, REPLIES_SIZE)) ||
           kh_shim_fail_errno(error, "cannot allocate the control relay");
}

void
kh_shim_control_prepare(const KhShimControl *control, struct pollfd *slots)
{
    short guest = control->whole > 0 ? POLLOUT : 0;
    short client = POLLRDHUP | (control->to_client.length > 0 ? POLLOUT : 0);
    if (control->to_client.length < control->to_client.capacity)
        guest |= POLLIN;
    if (control->to_guest.length < COMMANDS_SIZE)
        client |= POLLIN;
    slots[SLOT_LISTENER] = (struct pollfd){.fd = control->listener, .events = POLLIN};
    /* Without an event wanted, a hang-up would be reported for ever. */
    slots[SLOT_GUEST] = (struct pollfd){.fd = guest != 0 ? control->guest : -1, .events = guest};
    slots[SLOT_CLIENT] = (struct pollfd){.fd = control->client, .events = client};
}

static void
drop_client(KhShimControl *control)
{
    if (control->client < 0)
        return;
    close(control->client);
    control->client = -1;
    control->to_client.length = 0;
    control->to_guest.length = control->whole;
}

static void
drop_guest(KhShimControl *control)
{
    close(control->guest);
    control->guest = -1;
    control->to_guest.length = control->whole = 0;
}

static void
accept_client(KhShimControl *control)
{
    int fd = kh_shim_accept(control->listener, control->service_uid);
    if (fd < 0)
        return;
    drop_client(control);
    control->client = fd;
    control->skip_line = control->last_from_guest != '\n';
}

/* What has come since `before` goes to the client but for the rest of another's reply. */
static void
filter_replies(KhShimControl *control, size_t before)
{
    KhShimBuffer *replies = &control->to_client;
    if (replies->length == before)
        return;
    control->last_from_guest = replies->data[replies->length - 1];
    if (control->client < 0) {
        replies->length = 0;
        return;
    }
    if (!control->skip_line)
        return;
    char *start = replies->data + before;
    const char *newline = memchr(start, '\n', replies->length - before);
    size_t skipped = newline != NULL ? (size_t)(newline - start) + 1 : replies->length - before;
    control->skip_line = newline == NULL;
    replies->length -= skipped;
    memmove(start, start + skipped, replies->length - before);
}

static KhShimIo
read_guest(KhShimControl *control)
{
    size_t before = control->to_client.length;
    KhShimIo result =
        kh_shim_buffer_read(&control->to_client, control->guest, control->to_client.capacity);
    filter_replies(control, before);
    return result;
}

static KhShimIo
write_guest(KhShimControl *control)
{
    size_t before = control->to_guest.length;
    KhShimIo result = kh_shim_buffer_write(&control->to_guest, control->guest, control->whole);
    control->whole -= before - control->to_guest.length;
    return result;
}

static void
handle_guest(KhShimControl *control, short events)
{
    KhShimIo result = KH_SHIM_IO_LATER;
    if ((events & POLLOUT) != 0)
        result = write_guest(control);
    if (result != KH_SHIM_IO_ENDED && (events & POLLIN) != 0)
        result = read_guest(control);
    else if ((events & (POLLHUP | POLLERR)) != 0)
        result = KH_SHIM_IO_ENDED;
    if (result == KH_SHIM_IO_ENDED)
        drop_guest(control);
}

static KhShimIo
read_client(KhShimControl *control)
{
    KhShimBuffer *commands = &control->to_guest;
    KhShimIo result = kh_shim_buffer_read(commands, control->client, COMMANDS_SIZE);
    if (control->guest < 0)
        commands->length = 0;
    const char *newline =
        commands->length > 0 ? memrchr(commands->data, '\n', commands->length) : NULL;
    control->whole = newline != NULL ? (size_t)(newline - commands->data) + 1 : 0;
    return control->whole == 0 && commands->length >= COMMANDS_SIZE ? KH_SHIM_IO_ENDED : result;
}

static void
handle_client(KhShimControl *control, short events)
{
    KhShimIo result = KH_SHIM_IO_LATER;
    if ((events & POLLOUT) != 0)
        result =
            kh_shim_buffer_write(&control->to_client, control->client, control->to_client.length);
    if (result != KH_SHIM_IO_ENDED && (events & POLLIN) != 0)
        result = read_client(control);
    else if ((events & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
        result = KH_SHIM_IO_ENDED;
    if (result == KH_SHIM_IO_ENDED)
        drop_client(control);
}

void
kh_shim_control_handle(KhShimControl *control, const struct pollfd *slots)
{
    if (control->guest >= 0 && slots[SLOT_GUEST].revents != 0)
        handle_guest(control, slots[SLOT_GUEST].revents);
    if (control->client >= 0 && slots[SLOT_CLIENT].revents != 0)
        handle_client(control, slots[SLOT_CLIENT].revents);
    if ((slots[SLOT_LISTENER].revents & POLLIN) != 0)
        accept_client(control);
}

void
kh_shim_control_stop(KhShimControl *control)
{
    /* Before the beginning of a line that its client has not ended. */
    const size_t length = strlen(stop_command);
    KhShimBuffer *commands = &control->to_guest;
    char *place = commands->data + control->whole;
    memmove(place + length, place, commands->length - control->whole);
    memcpy(place, stop_command, length);
    commands->length += length;
    control->whole += length;
}

void
kh_shim_control_close(KhShimControl *control)
{
    if (control->guest >= 0) {
        read_guest(control);
        drop_guest(control);
    }
    if (control->client >= 0)
        kh_shim_buffer_write(&control->to_client, control->client, control->to_client.length);
    drop_client(control);
    close(control->listener);
    kh_shim_buffer_clear(&control->to_guest);
    kh_shim_buffer_clear(&control->to_client);
}
