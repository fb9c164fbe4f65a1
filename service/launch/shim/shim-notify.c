/* SPDX-License-Identifier: MIT */
/* The ready pipe and systemd's notify socket. */
#include "shim-notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "launch/shim-protocol.h"

/* What a service manager that is busy gets to make room for what it must hear. */
#define ROOM_S 10

int
kh_shim_notify_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval room = {.tv_sec = ROOM_S};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path == NULL ? 0 : strlen(path);
    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &room, sizeof room) < 0 ||
                    connect(fd, (const struct sockaddr *)&address,
                            offsetof(struct sockaddr_un, sun_path) + length) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void
tell(int notify, const char *text, int flags)
{
    if (notify >= 0 && send(notify, text, strlen(text), MSG_NOSIGNAL | flags) < 0)
        perror("katana-hypervisor-shim: cannot notify the service manager");
}

void
kh_shim_notify_send(int notify, const char *text)
{
    tell(notify, text, MSG_DONTWAIT);
}

/* Short enough for a pipe to take it whole. */
static bool
write_line(int ready_fd, const char *line)
{
    if (ready_fd < 0)
        return true;
    bool written = write(ready_fd, line, strlen(line)) >= 0;
    if (!written)
        perror("katana-hypervisor-shim: cannot write to the ready pipe");
    close(ready_fd);
    return written;
}

bool
kh_shim_report_ready(int ready_fd, int notify, pid_t qemu)
{
    char line[KH_SHIM_LINE_MAX], message[KH_SHIM_LINE_MAX + 64];
    snprintf(line, sizeof line, KH_READY_PREFIX "%d %d\n", getpid(), qemu);
    snprintf(message, sizeof message, "READY=1\nMAINPID=%d\nSTATUS=%s", getpid(), line);
    /* Without it systemd would end the machine: it waits for room. */
    tell(notify, message, 0);
    return write_line(ready_fd, line);
}

/* At any point of the shim's life, hence a socket of its own. systemd drops bad UTF-8. */
void
kh_shim_report_status(const KhShimError *error)
{
    char message[KH_SHIM_LINE_MAX + 16];
    int notify = kh_shim_notify_open();
    snprintf(message, sizeof message, "STATUS=" KH_ERROR_PREFIX "%s\n", error->text);
    for (char *c = message; *c != '\0'; c++)
        if ((unsigned char)*c > 0x7e)
            *c = '?';
    tell(notify, message, 0);
    if (notify >= 0)
        close(notify);
}

void
kh_shim_report_error(int ready_fd, const KhShimError *error)
{
    char line[KH_SHIM_LINE_MAX];
    snprintf(line, sizeof line, KH_ERROR_PREFIX "%s\n", error->text);
    write_line(ready_fd, line);
    kh_shim_report_status(error);
    fprintf(stderr, "katana-hypervisor-shim: %s\n", error->text);
}
