/* SPDX-License-Identifier: MIT */
/* Following over the ends of streams; see log-follow.h. */
#include "log-follow.h"

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <unistd.h>

#include "client.h"
#include "error.h"
#include "names.h"
#include "watch.h"

#define CHUNK 65536
/* Between the end of a stream and a look at what has become of the instance. */
#define PAUSE_MS 300
/* Until what a log is expected to have is taken for gone. */
#define EXPECTED_MS 10000
/* A rotation between two readings of a log moves what is looked for. */
#define TRIES 3

typedef struct {
    KhCli *cli;
    const KhLogSubject *subject;
    KhLogOutput *output;
    KhWatch watch;  /* of the instance */
    gboolean known; /* since the end of a stream: that it is there, and stays */
    gboolean said_gone;
    gboolean unread; /* nobody reads what is printed */
    gboolean paused;
    gboolean placed;  /* whether it is known where in its log is what is printed */
    guint64 origin;   /* then: where in that log the output would have begun; may wrap around */
    gboolean unclear; /* what was printed last has been found at several places */
    guint reader;
} Follower;

int
kh_log_open(KhCli *cli, const KhLogSubject *subject, GVariant *options, GError **error)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(options);
    g_autoptr(GUnixFDList) fds = NULL;
    g_autoptr(GVariant) reply = kh_client_call(cli, subject->path, KH_INTERFACE_INSTANCE, "OpenLog",
                                               g_variant_new("(@a{sv})", held), "(h)", &fds, error);
    gint32 place;

    if (reply == NULL)
        return -1;
    g_variant_get(reply, "(h)", &place);
    if (fds != NULL && place >= 0 && place < g_unix_fd_list_get_length(fds))
        return g_unix_fd_list_get(fds, place, error);
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "The service answered OpenLog without the stream that was expected");
    return -1;
}

/* One that is being deleted will not be there a moment later. */
static void
take_instance(GVariant *properties, gpointer data)
{
    Follower *self = data;
    const char *state;

    if (g_variant_lookup(properties, "State", "&s", &state))
        self->known = !g_str_equal(state, kh_state_name(KH_STATE_DELETING));
}

static gboolean
on_unread(int fd, GIOCondition condition, gpointer data)
{
    Follower *self = data;

    self->unread = TRUE;
    self->reader = 0;
    return G_SOURCE_REMOVE;
}

static gboolean
on_paused(gpointer data)
{
    ((Follower *)data)->paused = FALSE;
    return G_SOURCE_REMOVE;
}

static void
begin(Follower *self)
{
    /* One that goes while it is asked, too, is waited for. */
    self->cli->no_activate = TRUE;
    self->watch = (KhWatch){.cli = self->cli,
                            .path = self->subject->path,
                            .interface = KH_INTERFACE_INSTANCE,
                            .take = take_instance,
                            .data = self};
    kh_watch_begin(&self->watch);
    self->reader = g_unix_fd_add(STDOUT_FILENO, G_IO_ERR | G_IO_HUP | G_IO_NVAL, on_unread, self);
}

static void
end(Follower *self)
{
    kh_watch_end(&self->watch);
    g_clear_handle_id(&self->reader, g_source_remove);
}

static void
pause_for_a_moment(Follower *self)
{
    self->paused = TRUE;
    g_timeout_add(PAUSE_MS, on_paused, self);
    while (self->paused)
        g_main_context_iteration(NULL, TRUE);
}

static void
note_absence(Follower *self)
{
    if (!self->watch.absent || self->said_gone)
        return;
    kh_cli_note(self->cli, "the service has gone; %s is followed again when it is back",
                self->subject->name);
    self->said_gone = TRUE;
}

/* Asks until it is known whether the instance is there; FALSE: unread, or with @error. */
static gboolean
find_instance(Follower *self, GError **error)
{
    KhWatch *watch = &self->watch;

    self->known = watch->look = FALSE;
    while (!self->unread && (watch->absent || watch->look || !(self->known || watch->gone))) {
        note_absence(self);
        if (!watch->absent && !watch->look) {
            pause_for_a_moment(self);
            watch->look = !watch->absent;
        } else if (!kh_watch_next(watch, error)) {
            return FALSE;
        }
    }
    return !self->unread;
}

/* The whole log, as far as it has been written, or for ever; -1 and @error. */
static int
open_whole(Follower *self, gboolean follow, GError **error)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);

    g_variant_dict_insert(&options, "lines", "u", 0);
    g_variant_dict_insert(&options, "follow", "b", follow);
    if (self->subject->source != NULL)
        g_variant_dict_insert(&options, "source", "s", self->subject->source);
    return kh_log_open(self->cli, self->subject, g_variant_dict_end(&options), error);
}

/*
 * Feeds @search with what @fd gives: @length bytes, or all until its end for G_MAXUINT64; fewer
 * where none come for so long that those which were expected are no longer there.
 */
static void
read_into(KhLogSearch *search, int fd, guint64 length)
{
    g_autofree char *chunk = g_malloc(CHUNK);
    struct pollfd more = {.fd = fd, .events = POLLIN};
    ssize_t n = -1;

    while (length > 0 && n != 0) {
        int ready = poll(&more, 1, EXPECTED_MS);

        n = ready > 0 ? read(fd, chunk, MIN(CHUNK, length)) : -1;
        if (ready == 0 || (n < 0 && errno != EINTR))
            return;
        if (n > 0) {
            kh_log_search_feed(search, chunk, (gsize)n);
            length -= (guint64)n;
        }
    }
}

/* It goes on at @place of the log, where in the output it is now. */
static void
set_place(Follower *self, gint64 place)
{
    self->placed = TRUE;
    self->origin = (guint64)place - self->output->passed;
}

/* Where in the log that there is now the last bytes end that were printed; -1: nowhere. */
static gboolean
find_place(Follower *self, gint64 *place, GError **error)
{
    g_auto(KhLogSearch) search = {NULL};
    int fd = open_whole(self, FALSE, error);

    if (fd < 0)
        return FALSE;
    kh_log_search_init(&search, self->output);
    /* Lines that repeat are no mark; after a rotation it can only be before that. */
    if (self->placed)
        search.limit = self->origin + self->output->passed;
    read_into(&search, fd, G_MAXUINT64);
    close(fd);
    *place = search.end;
    self->unclear = !self->placed && search.found > 1;
    return TRUE;
}

/* A stream that follows, read up to @place; *same: whether that is still the place. */
static int
open_at(Follower *self, gint64 place, gboolean *same, GError **error)
{
    g_auto(KhLogSearch) search = {NULL};
    int fd = open_whole(self, TRUE, error);

    if (fd < 0)
        return -1;
    kh_log_search_init(&search, self->output);
    read_into(&search, fd, (guint64)place);
    *same = search.end == place;
    return fd;
}

static int
open_from_beginning(Follower *self, GError **error)
{
    int fd = open_whole(self, TRUE, error);

    if (fd < 0)
        return -1;
    kh_log_output_forget(self->output);
    set_place(self, 0);
    kh_cli_note(self->cli,
                "%s is followed again, with its log from the beginning: where it was is no longer "
                "there",
                self->subject->name);
    return fd;
}

/* A stream that goes on where the last one has ended, if that can be found. */
static int
open_again(Follower *self, GError **error)
{
    gint64 place = 0;
    int fd;

    for (int i = 0; i < TRIES; i++) {
        gboolean same = FALSE;

        if (!find_place(self, &place, error))
            return -1;
        if (place < 0)
            break;
        fd = open_at(self, place, &same, error);
        if (same) {
            set_place(self, place);
            kh_cli_note(self->cli, "%s is followed again%s", self->subject->name,
                        self->unclear ? "; as its last lines are in its log more than once, some "
                                        "may be missing here"
                                      : "");
        }
        if (fd < 0 || same)
            return fd;
        close(fd);
    }
    return open_from_beginning(self, error);
}

/* Goes on after the end of a stream; -1: there is nothing more, or with @error. */
static int
go_on(Follower *self, GError **error)
{
    int fd;

    for (;;) {
        g_autoptr(GError) failure = NULL;

        if (!find_instance(self, error))
            return -1;
        if (self->watch.gone) {
            kh_cli_note(self->cli, "%s has been deleted", self->subject->name);
            return -1;
        }
        fd = open_again(self, &failure);
        if (fd >= 0) {
            self->said_gone = FALSE;
            return fd;
        }
        /* One that has gone again meanwhile is waited for. */
        if (kh_cli_exit_code(failure) != KH_EXIT_UNAVAILABLE) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return -1;
        }
    }
}

gboolean
kh_log_follow(KhCli *cli, const KhLogSubject *subject, KhLogOutput *output, int fd, int *failure,
              GError **error)
{
    Follower self = {.cli = cli, .subject = subject, .output = output};
    GError *problem = NULL;

    begin(&self);
    while (fd >= 0) {
        *failure = kh_log_output_copy(output, fd);
        close(fd);
        fd = *failure != 0 ? -1 : go_on(&self, &problem);
    }
    end(&self);
    if (self.unread)
        *failure = EPIPE;
    if (problem == NULL)
        return TRUE;
    g_propagate_error(error, problem);
    return FALSE;
}
