/* SPDX-License-Identifier: MIT */
/* The last lines of a log in an error; see log-excerpt.h. */
#include "log-excerpt.h"

#include <poll.h>
#include <unistd.h>

#include "error.h"
#include "log-follow.h"
#include "log-lines.h"

#define CHUNK 65536
/* As much of its end as the service would look at. */
#define END_MAX (2 * CHUNK)
/* That long the service may take to open it, and then to give it. */
#define PATIENCE_MS 5000

static int
open_log(KhCli *cli, const char *path, const GError *error)
{
    const gboolean never_asks = cli->no_ask_password;
    const char *source = error->code == KH_ERROR_LAUNCH_FAILED ? "qemu" : "guest";
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    int fd;

    g_variant_dict_insert(&options, "source", "s", source);
    g_variant_dict_insert(&options, "lines", "u", (guint32)KH_LOG_LINES);
    cli->no_ask_password = TRUE;
    kh_cli_set_deadline(cli, PATIENCE_MS);
    fd = kh_log_open(cli, &(KhLogSubject){.path = path}, g_variant_dict_end(&options), NULL);
    kh_cli_set_deadline(cli, 0);
    cli->no_ask_password = never_asks;
    return fd;
}

static GString *
read_end(int fd)
{
    const gint64 end = g_get_monotonic_time() + PATIENCE_MS * 1000;
    g_autofree char *chunk = g_malloc(CHUNK);
    GString *text = g_string_new(NULL);
    struct pollfd more = {.fd = fd, .events = POLLIN};
    ssize_t n;

    while (g_get_monotonic_time() < end && poll(&more, 1, PATIENCE_MS) > 0 &&
           (n = read(fd, chunk, CHUNK)) > 0) {
        g_string_append_len(text, chunk, n);
        if (text->len > END_MAX)
            g_string_erase(text, 0, (gssize)(text->len - END_MAX));
    }
    return text;
}

void
kh_log_excerpt_add(KhCli *cli, const char *path, GError *error)
{
    g_autoptr(GString) text = NULL;
    int fd = kh_log_lines_explain(error) ? open_log(cli, path, error) : -1;

    if (fd < 0)
        return;
    text = read_end(fd);
    close(fd);
    kh_log_lines_add(error, text->str, text->len);
}
