/* SPDX-License-Identifier: MIT */
/* Chooses TCP ports; see registry.h. */
#include "registry.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "auto-fd.h"
#include "error.h"

/*
 * SO_REUSEADDR as QEMU's user network sets it: connections in TIME-WAIT do not count,
 * a listener does. Port 0 tries the address alone, and takes none of the kernel's ports for it.
 */
static gboolean
can_listen(int fd, const char *address, guint16 port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;

    return inet_pton(AF_INET, address, &name.sin_addr) == 1 &&
           setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           (port != 0 ||
            setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0) &&
           bind(fd, (struct sockaddr *)&name, sizeof name) == 0 &&
           (port == 0 || listen(fd, 1) == 0);
}

const char *
kh_port_loopback(const char *address)
{
    return g_str_has_prefix(address, "127.") ? address : "127.0.0.1";
}

gboolean
kh_port_needs_loopback(const char *address)
{
    return !g_str_has_prefix(address, "127.") && !g_str_equal(address, "0.0.0.0");
}

/* What keeps a listener from @address:@port; only what has been found, by @number, is told. */
static void
explain(const char *address, guint16 port, int number, GError **error)
{
    gboolean shortage =
        number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS;

    if (number == EADDRINUSE)
        g_set_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
                    "Port %u on %s is in use by another program; choose another port", port,
                    address);
    else if (number == EADDRNOTAVAIL)
        g_set_error(error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
                    "This host does not have the address %s; choose one of its own, which "
                    "\"ip -4 address\" lists, or 0.0.0.0 for all of them",
                    address);
    else
        g_set_error(error, KH_ERROR,
                    shortage ? KH_ERROR_RESOURCE_UNAVAILABLE : KH_ERROR_PORT_UNAVAILABLE,
                    "It cannot be tried whether port %u on %s is free: %s", port, address,
                    g_strerror(number));
}

static gboolean
probe(const char *address, guint16 port, GError **error)
{
    g_auto(KhFd) fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gboolean free = fd >= 0 && can_listen(fd, address, port);

    if (!free)
        explain(address, port, errno, error);
    return free;
}

gboolean
kh_port_probe(const char *address, guint16 port, GError **error)
{
    return probe(address, port, error) &&
           (!kh_port_needs_loopback(address) || probe(kh_port_loopback(address), port, error));
}

/*
 * The kernel lets TCP listen there, and no connection ever comes. It knows the broadcast
 * addresses of its networks: a datagram socket is not let near one unasked. Nothing is sent.
 */
static gboolean
is_broadcast(const struct in_addr *address)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(KH_PORT_MAX), .sin_addr = *address};
    g_auto(KhFd) fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    return fd >= 0 && connect(fd, (struct sockaddr *)&name, sizeof name) != 0 && errno == EACCES;
}

gboolean
kh_port_check_address(const char *address, GError **error)
{
    struct in_addr parsed = {0};
    gboolean multicast;

    inet_pton(AF_INET, address, &parsed);
    multicast = IN_MULTICAST(ntohl(parsed.s_addr));
    if (!multicast && !is_broadcast(&parsed))
        return probe(address, 0, error);
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "%s is a %s address, to which nobody can connect; choose an address of this host, "
        "or 0.0.0.0 for all of them",
        address, multicast ? "multicast" : "broadcast");
}

/* What there is to do about it: who has them, and where there could be more. */
static void
explain_none_left(KhStore *store, const KhPortRange *range, const char *address,
                  const char *settings_file, GError **error)
{
    guint taken = kh_store_count_ports(store, range->first, range->last);
    guint all = (guint)range->last - range->first + 1;

    g_set_error(
        error, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE,
        "No port from %u to %u is free on %s: instances have %u of the %u%s; delete one, or "
        "set a wider port-range in %s and restart the service",
        range->first, range->last, address, taken, all,
        taken < all ? ", other programs the rest" : "", settings_file);
}

/* Goes on to the next port where one is in use, and not where nothing can be tried. */
static guint16
lowest_free(KhStore *store, const KhPortRange *range, const char *address, GError **error)
{
    guint16 port = kh_store_find_port(store, range->first, range->last);

    while (port != 0) {
        g_autoptr(GError) reason = NULL;

        if (kh_port_probe(address, port, &reason))
            return port;
        if (!g_error_matches(reason, KH_ERROR, KH_ERROR_PORT_UNAVAILABLE)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return 0;
        }
        port = port < range->last ? kh_store_find_port(store, port + 1, range->last) : 0;
    }
    return 0;
}

guint16
kh_port_choose(KhStore *store, const KhPortRange *range, const char *address, guint16 wanted,
               const char *settings_file, GError **error)
{
    g_autoptr(GError) reason = NULL;
    guint16 port;

    if (!kh_port_check_address(address, error))
        return 0;
    if (wanted != 0)
        return kh_store_check_port(store, wanted, error) && kh_port_probe(address, wanted, error)
                   ? wanted
                   : 0;
    port = lowest_free(store, range, address, &reason);
    if (reason != NULL)
        g_propagate_error(error, g_steal_pointer(&reason));
    else if (port == 0)
        explain_none_left(store, range, address, settings_file, error);
    return port;
}
