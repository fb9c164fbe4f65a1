/* SPDX-License-Identifier: MIT */
/* The whole of a text into a descriptor; see write-all.h. */
#include "write-all.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

size_t
kh_write_all(int fd, const void *data, size_t length)
{
    struct pollfd output = {.fd = fd, .events = POLLOUT};
    size_t done = 0;

    while (done < length) {
        ssize_t n = write(fd, (const char *)data + done, length - done);

        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno == EAGAIN)
            poll(&output, 1, -1);
        else if (n == 0 || errno != EINTR)
            break;
    }
    return done;
}
