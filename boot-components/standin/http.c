/* SPDX-License-Identifier: MIT */
/* See http.h. */
#include "http.h"

#include "request.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd; /* -1: free */
    bool close_after;
    bool hang;
    bool continued;
    size_t sent;
    int64_t deadline;
    struct buf in;
    struct buf out;
};

struct server {
    int listen_fd;
    int signal_fd;
    const struct http_hooks *hooks;
    struct connection connections[HTTP_MAX_CONNECTIONS];
};

int
http_listen(const char *address, unsigned port)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1;

    if (inet_pton(AF_INET, address, &where.sin_addr) != 1) {
        say("--http.addr is no IPv4 address");
        return -1;
    }

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&where, sizeof where) != 0 || listen(fd, 64) != 0) {
        say("%s:%u cannot be listened on: %s", address, port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static void
end_connection(struct connection *connection)
{
    close(connection->fd);
    buf_free(&connection->in);
    buf_free(&connection->out);
    connection->fd = -1;
}

static const char *
status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Bad Request";
    }
}

static void
queue_reply(struct connection *connection, int status, const struct buf *body, bool with_body)
{
    size_t len = body == NULL ? 0 : body->len;

    buf_printf(&connection->out,
               "HTTP/1.1 %d %s\r\n"
               "Content-Type: application/json\r\n"
               "Content-Length: %zu\r\n"
               "Access-Control-Allow-Origin: *\r\n"
               "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
               "Access-Control-Allow-Headers: *\r\n"
               "Connection: %s\r\n\r\n",
               status, status_text(status), len, connection->close_after ? "close" : "keep-alive");
    if (len > 0 && with_body)
        buf_add(&connection->out, body->data, len);
}

static void
answer(const struct http_hooks *hooks, struct connection *connection, const struct parsed *parsed)
{
    struct http_reply reply = {.status = 200, .body.max = HTTP_MAX_REPLY};

    hooks->handle(hooks->context, &parsed->request, &reply);
    connection->hang = reply.hang;
    if (reply.body.failed) {
        buf_free(&reply.body);
        reply.status = 500;
    }
    if (!reply.hang)
        queue_reply(connection, reply.status, &reply.body,
                    strcmp(parsed->request.method, "HEAD") != 0);
    buf_free(&reply.body);
}

/* Handles the requests that are there, one reply at a time. */
static void
process(const struct http_hooks *hooks, struct connection *connection)
{
    struct parsed parsed;

    while (connection->out.len == 0 && !connection->hang && !connection->close_after &&
           request_parse(&connection->in, &parsed)) {
        if (parsed.status != 200) {
            connection->close_after = true;
            queue_reply(connection, parsed.status, NULL, false);
            return;
        }
        if (!parsed.complete) {
            if (parsed.expects && !connection->continued)
                buf_puts(&connection->out, "HTTP/1.1 100 Continue\r\n\r\n");
            connection->continued = true;
            return;
        }
        connection->close_after = parsed.close;
        connection->continued = false;
        answer(hooks, connection, &parsed);
        buf_drop(&connection->in, parsed.size);
        connection->deadline = now_ms() + HTTP_REQUEST_MS;
    }
}

static void
receive(const struct http_hooks *hooks, struct connection *connection)
{
    char data[16 * 1024];
    ssize_t len = recv(connection->fd, data, sizeof data, 0);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0) {
        end_connection(connection);
        return;
    }
    if (connection->in.len == 0)
        connection->deadline = now_ms() + HTTP_REQUEST_MS;
    buf_add(&connection->in, data, (size_t)len);
    if (connection->in.failed)
        end_connection(connection);
    else
        process(hooks, connection);
}

static void
transmit(const struct http_hooks *hooks, struct connection *connection)
{
    ssize_t len = send(connection->fd, connection->out.data + connection->sent,
                       connection->out.len - connection->sent, MSG_NOSIGNAL);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len < 0) {
        end_connection(connection);
        return;
    }
    connection->sent += (size_t)len;
    if (connection->sent < connection->out.len)
        return;
    buf_drop(&connection->out, connection->out.len);
    connection->sent = 0;
    if (connection->close_after) {
        end_connection(connection);
        return;
    }
    if (connection->in.len == 0)
        connection->deadline = now_ms() + HTTP_IDLE_MS;
    process(hooks, connection);
}

static void
accept_one(struct server *server)
{
    int on = 1;
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (unsigned i = 0; i < HTTP_MAX_CONNECTIONS; i++) {
        struct connection *connection = &server->connections[i];

        if (connection->fd >= 0)
            continue;
        *connection = (struct connection){
            .fd = fd,
            .deadline = now_ms() + HTTP_REQUEST_MS,
            .in.max = HTTP_MAX_HEADER + HTTP_MAX_BODY + 64 * 1024,
            .out.max = HTTP_MAX_REPLY + 4096,
        };
        return;
    }
    close(fd);
}

/* Fills the set for poll: the two fixed descriptors, then the connections; a connection that
 * owes a reply is not read. Returns the time to the first deadline. */
static int
prepare_poll(struct server *server, struct pollfd *set)
{
    int64_t now = now_ms();
    int64_t wait = 60000;
    int tick = server->hooks->tick(server->hooks->context);

    if (tick >= 0 && tick < wait)
        wait = tick;
    set[0] = (struct pollfd){.fd = server->signal_fd, .events = POLLIN};
    set[1] = (struct pollfd){.fd = server->listen_fd, .events = POLLIN};
    for (unsigned i = 0; i < HTTP_MAX_CONNECTIONS; i++) {
        struct connection *connection = &server->connections[i];

        if (connection->fd >= 0 && !connection->hang && connection->deadline <= now)
            end_connection(connection);
        if (connection->fd >= 0 && !connection->hang && connection->deadline - now < wait)
            wait = connection->deadline - now;
        set[2 + i] = (struct pollfd){
            .fd = connection->fd,
            .events = connection->hang          ? 0
                      : connection->out.len > 0 ? POLLOUT
                                                : POLLIN,
        };
    }
    return (int)wait;
}

static void
dispatch(struct server *server, const struct pollfd *set)
{
    for (unsigned i = 0; i < HTTP_MAX_CONNECTIONS; i++) {
        struct connection *connection = &server->connections[i];
        short events = set[2 + i].revents;

        if (connection->fd < 0 || events == 0)
            continue;
        if ((events & POLLOUT) != 0)
            transmit(server->hooks, connection);
        else if ((events & POLLIN) != 0)
            receive(server->hooks, connection);
        else
            end_connection(connection);
    }
    if ((set[1].revents & POLLIN) != 0)
        accept_one(server);
}

void
http_serve(int listen_fd, int signal_fd, const struct http_hooks *hooks)
{
    struct server server = {.listen_fd = listen_fd, .signal_fd = signal_fd, .hooks = hooks};
    struct pollfd set[2 + HTTP_MAX_CONNECTIONS];

    for (unsigned i = 0; i < HTTP_MAX_CONNECTIONS; i++)
        server.connections[i].fd = -1;
    for (;;) {
        int wait = prepare_poll(&server, set);

        if (poll(set, 2 + HTTP_MAX_CONNECTIONS, wait) < 0)
            continue;
        if (set[0].revents != 0)
            break;
        dispatch(&server, set);
    }
    for (unsigned i = 0; i < HTTP_MAX_CONNECTIONS; i++)
        if (server.connections[i].fd >= 0)
            end_connection(&server.connections[i]);
}
