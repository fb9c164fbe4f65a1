/* SPDX-License-Identifier: MIT */
/* katana-hypervisor logs */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "error.h"
#include "harmless.h"
#include "names.h"
#include "sizes.h"
#include "verbs.h"

#define LINES_DEFAULT 100
#define CHUNK 65536

static gboolean
write_all(const char *text, gsize length)
{
    while (length > 0) {
        ssize_t n = write(STDOUT_FILENO, text, length);

        if (n < 0 && errno != EINTR)
            return FALSE;
        if (n > 0) {
            text += n;
            length -= (gsize)n;
        }
    }
    return TRUE;
}

/* A guest's escape sequences are not for the terminal. */
static gboolean
write_harmless(KhHarmless *state, const char *chunk, gsize length)
{
    GString *text = kh_harmless_text(state, chunk, length);
    gboolean written = write_all(text->str, text->len);

    g_string_free(text, TRUE);
    return written;
}

static void
copy_to_stdout(int fd)
{
    g_autofree char *chunk = g_malloc(CHUNK);
    gboolean terminal = isatty(STDOUT_FILENO), written = TRUE;
    KhHarmless state = {.length = 0};
    ssize_t n = -1;

    while (written && n != 0) {
        n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return;
        written = terminal ? write_harmless(&state, chunk, (gsize)n) : write_all(chunk, (gsize)n);
    }
}

static int
open_log(KhCli *cli, const char *name, GVariant *options, GError **error)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    g_autofree char *path = kh_client_find(cli, name, error);
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) reply = NULL;

    if (path == NULL)
        return -1;
    reply = kh_client_call(cli, path, KH_INTERFACE_INSTANCE, "OpenLog",
                           g_variant_new("(@a{sv})", held), &fds, error);
    return reply == NULL ? -1 : g_unix_fd_list_get(fds, 0, error);
}

static gboolean
build_options(GVariantDict *options, const char *lines, int boot, const char *source,
              gboolean follow, GError **error)
{
    guint64 number = LINES_DEFAULT;

    if (lines != NULL && !kh_number_parse(lines, "--lines", 0, G_MAXUINT32, &number, error))
        return FALSE;
    g_variant_dict_insert(options, "lines", "u", (guint32)number);
    g_variant_dict_insert(options, "follow", "b", follow);
    g_variant_dict_insert(options, "boot", "i", boot);
    if (source != NULL)
        g_variant_dict_insert(options, "source", "s", source);
    return TRUE;
}

int
kh_verb_logs(KhCli *cli)
{
    gboolean follow = FALSE;
    g_autofree char *lines = NULL, *source = NULL;
    int boot = 0, fd = -1;
    const GOptionEntry entries[] = {
        {"follow", 'f', 0, G_OPTION_ARG_NONE, &follow, "Go on with what is added", NULL},
        {"lines", 'n', 0, G_OPTION_ARG_STRING, &lines, "The last so many, 0 for all (100)", "N"},
        {"boot", 0, 0, G_OPTION_ARG_INT, &boot, "0 the current, -1 the one before", "N"},
        {"source", 0, 0, G_OPTION_ARG_STRING, &source, "guest or qemu", "SOURCE"},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME", 1, 1, &error);

    if (names != NULL && build_options(&options, lines, boot, source, follow, &error))
        fd = open_log(cli, names[0], g_variant_dict_end(&options), &error);
    if (fd < 0)
        return kh_cli_fail(cli, error);
    copy_to_stdout(fd);
    close(fd);
    return 0;
}
