/* SPDX-License-Identifier: MIT */
/* See fake.h. */
#include "fake.h"

#include "buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 3000

static void
spin(const struct options *options)
{
    (void)options;
    for (volatile unsigned i = 0;; i++)
        ;
}

static void
spam_log(const struct options *options)
{
    int64_t end = now_ms() + (int64_t)options->spam_seconds * 1000;

    for (unsigned long i = 0; now_ms() < end; i++)
        say("fake.spam-log line %lu of as many as the console takes", i);
    say("fake.spam-log done");
}

static void
spam_no_newline(const struct options *options)
{
    char block[4096];
    int64_t end = now_ms() + (int64_t)options->spam_seconds * 1000;

    memset(block, 'x', sizeof block);
    while (now_ms() < end)
        if (write(STDOUT_FILENO, block, sizeof block) < 0)
            return;
    say("fake.no-newline done");
}

static void
fill_disk(const struct options *options)
{
    char path[512];
    char block[64 * 1024];
    size_t bytes = 0;

    memset(block, 0x5a, sizeof block);
    snprintf(path, sizeof path, "%s/fill", options->db_dir == NULL ? "." : options->db_dir);

    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ssize_t len = fd < 0 ? -1 : 0;

    while (len >= 0) {
        len = write(fd, block, sizeof block);
        if (len > 0)
            bytes += (size_t)len;
    }
    say("fake.fill-disk stopped after %zu bytes: %s", bytes, strerror(errno));
}

/* 0, or the errno of a TCP connection that was not made in time. */
static int
try_connect(const struct sockaddr_in *where)
{
    int error = 0;
    socklen_t size = sizeof error;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    if (connect(fd, (const struct sockaddr *)where, sizeof *where) != 0)
        error = errno;
    if (error == EINPROGRESS) {
        struct pollfd set = {.fd = fd, .events = POLLOUT};

        if (poll(&set, 1, CONNECT_MS) < 1)
            error = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    close(fd);
    return error;
}

static void
connect_all(const struct options *options)
{
    for (unsigned i = 0; i < options->n_connect; i++) {
        const char *target = options->connect[i];
        const char *colon = strrchr(target, ':');
        struct sockaddr_in where = {.sin_family = AF_INET};
        char host[64] = "";

        if (colon != NULL && (size_t)(colon - target) < sizeof host)
            memcpy(host, target, (size_t)(colon - target));
        if (colon == NULL || inet_pton(AF_INET, host, &where.sin_addr) != 1) {
            say("fake.connect: no ADDRESS:PORT");
            continue;
        }
        where.sin_port = htons((uint16_t)atoi(colon + 1));

        int error = try_connect(&where);

        printf("connect %s: %s\n", target, error == 0 ? "ok" : strerror(error));
        fflush(stdout);
    }
}

static void
in_child(void (*fault)(const struct options *), const struct options *options)
{
    pid_t parent = getpid();

    if (fork() != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        fault(options);
    _exit(0);
}

void
fake_start(const struct options *options)
{
    if (options->n_connect > 0)
        in_child(connect_all, options);
    if (options->spam_log)
        in_child(spam_log, options);
    if (options->no_newline)
        in_child(spam_no_newline, options);
    if (options->spin)
        in_child(spin, options);
    if (options->fill_disk)
        in_child(fill_disk, options);
}
