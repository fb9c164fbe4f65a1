/* SPDX-License-Identifier: MIT */
/* The console server of the shim. */
#include "shim-console.h"

#include <unistd.h>

#include "shim-folder.h"

#define OUTPUT_SIZE (64 * 1024)
#define INPUT_SIZE 4096

bool
kh_shim_console_init(KhShimConsole *console, int listener, uid_t service_uid, KhShimError *error)
{
    *console = (KhShimConsole){.listener = listener, .service_uid = service_uid};
    for (int i = 0; i < KH_SHIM_CONSOLE_CLIENTS; i++)
        console->clients[i].fd = -1;
    return kh_shim_buffer_init(&console->to_guest, INPUT_SIZE) ||
           kh_shim_fail_errno(error, "cannot allocate the console");
}

void
kh_shim_console_prepare(const KhShimConsole *console, struct pollfd *slots)
{
    slots[0] = (struct pollfd){.fd = console->listener, .events = POLLIN};
    bool room = console->to_guest.length < console->to_guest.capacity;
    for (int i = 0; i < KH_SHIM_CONSOLE_CLIENTS; i++) {
        short events = POLLRDHUP | (room ? POLLIN : 0);
        if (console->clients[i].output.length > 0)
            events |= POLLOUT;
        slots[1 + i] = (struct pollfd){.fd = console->clients[i].fd, .events = events};
    }
}

static void
close_client(KhShimConsole *console, int i)
{
    close(console->clients[i].fd);
    console->clients[i].fd = -1;
    kh_shim_buffer_clear(&console->clients[i].output);
}

static void
accept_client(KhShimConsole *console)
{
    int fd = kh_shim_accept(console->listener, console->service_uid);
    for (int i = 0; fd >= 0 && i < KH_SHIM_CONSOLE_CLIENTS; i++) {
        if (console->clients[i].fd >= 0)
            continue;
        if (!kh_shim_buffer_init(&console->clients[i].output, OUTPUT_SIZE))
            break;
        console->clients[i].fd = fd;
        return;
    }
    if (fd >= 0)
        close(fd);
}

static void
handle_client(KhShimConsole *console, int i, short events)
{
    int fd = console->clients[i].fd;
    KhShimBuffer *output = &console->clients[i].output;
    KhShimIo result = KH_SHIM_IO_LATER;
    if ((events & POLLOUT) != 0)
        result = kh_shim_buffer_write(output, fd, output->length);
    if (result != KH_SHIM_IO_ENDED && (events & POLLIN) != 0)
        result = kh_shim_buffer_read(&console->to_guest, fd, console->to_guest.capacity);
    else if ((events & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
        result = KH_SHIM_IO_ENDED;
    if (result == KH_SHIM_IO_ENDED)
        close_client(console, i);
}

void
kh_shim_console_handle(KhShimConsole *console, const struct pollfd *slots)
{
    for (int i = 0; i < KH_SHIM_CONSOLE_CLIENTS; i++)
        if (console->clients[i].fd >= 0 && slots[1 + i].revents != 0)
            handle_client(console, i, slots[1 + i].revents);
    if ((slots[0].revents & POLLIN) != 0)
        accept_client(console);
}

void
kh_shim_console_output(KhShimConsole *console, const char *data, size_t length)
{
    for (int i = 0; i < KH_SHIM_CONSOLE_CLIENTS; i++)
        if (console->clients[i].fd >= 0)
            kh_shim_buffer_append(&console->clients[i].output, data, length);
}

void
kh_shim_console_close(KhShimConsole *console)
{
    for (int i = 0; i < KH_SHIM_CONSOLE_CLIENTS; i++) {
        KhShimBuffer *output = &console->clients[i].output;
        if (console->clients[i].fd < 0)
            continue;
        kh_shim_buffer_write(output, console->clients[i].fd, output->length);
        close_client(console, i);
    }
    close(console->listener);
    kh_shim_buffer_clear(&console->to_guest);
}
