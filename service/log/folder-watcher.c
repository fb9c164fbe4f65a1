/* SPDX-License-Identifier: MIT */
/* News of folders; see folder-watcher.h. */
#include "folder-watcher.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "error.h"

#define EVENTS (IN_MODIFY | IN_CREATE | IN_MOVE)
/* More than a queue has (16384 events, inotify(7)), unless it is filled meanwhile. */
#define READS_MAX 256

struct _KhFolderWatcher {
    GObject parent_instance;
    int fd;              /* of inotify; -1 before the first watch */
    guint source;        /* what it waits for: news, or the end of a rest */
    GHashTable *folders; /* inotify's number -> GPtrArray of KhFolderWatch */
    guint64 bufferful;   /* how many have been read */
};

struct _KhFolderWatch {
    int number;
    char *prefix;
    guint64 told; /* at which bufferful */
    KhFolderNews news;
    gpointer user_data;
};

G_DEFINE_FINAL_TYPE(KhFolderWatcher, kh_folder_watcher, G_TYPE_OBJECT)

static void
kh_folder_watcher_finalize(GObject *object)
{
    KhFolderWatcher *self = KH_FOLDER_WATCHER(object);

    g_clear_handle_id(&self->source, g_source_remove);
    if (self->fd >= 0)
        close(self->fd);
    g_hash_table_unref(self->folders);
    G_OBJECT_CLASS(kh_folder_watcher_parent_class)->finalize(object);
}

static void
kh_folder_watcher_class_init(KhFolderWatcherClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_folder_watcher_finalize;
}

static void
kh_folder_watcher_init(KhFolderWatcher *self)
{
    self->fd = -1;
    self->folders =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)(void (*)(void))g_ptr_array_unref);
}

KhFolderWatcher *
kh_folder_watcher_new(void)
{
    return g_object_new(KH_TYPE_FOLDER_WATCHER, NULL);
}

static void
watch_free(gpointer data)
{
    KhFolderWatch *watch = data;

    g_free(watch->prefix);
    g_free(watch);
}

/*
 * Once for a bufferful, whatever is in it, and not of other files: the machine's disk lies in
 * the same folder. @name is NULL where it is not known.
 */
static gboolean
is_news(const KhFolderWatcher *self, const KhFolderWatch *watch, const char *name)
{
    return watch->told != self->bufferful &&
           (name == NULL || g_str_has_prefix(name, watch->prefix));
}

/* From the last to the first, since each may remove itself. */
static void
tell(KhFolderWatcher *self, GPtrArray *watches, const char *name)
{
    g_autoptr(GPtrArray) held = g_ptr_array_ref(watches);

    for (guint i = held->len; i-- > 0;) {
        KhFolderWatch *watch = held->pdata[i];

        if (!is_news(self, watch, name))
            continue;
        watch->told = self->bufferful;
        watch->news(watch->user_data);
    }
}

static void
tell_all(KhFolderWatcher *self)
{
    g_autoptr(GList) folders = g_hash_table_get_values(self->folders);

    for (GList *folder = folders; folder != NULL; folder = folder->next)
        g_ptr_array_ref(folder->data);
    for (GList *folder = folders; folder != NULL; folder = folder->next) {
        tell(self, folder->data, NULL);
        g_ptr_array_unref(folder->data);
    }
}

static void
tell_of(KhFolderWatcher *self, const struct inotify_event *event)
{
    GPtrArray *watches = g_hash_table_lookup(self->folders, GINT_TO_POINTER(event->wd));

    if (event->wd < 0) /* events were lost (inotify(7), IN_Q_OVERFLOW) */
        tell_all(self);
    else if (watches != NULL)
        tell(self, watches, event->len > 0 ? event->name : NULL);
}

static gboolean on_events(int fd, GIOCondition condition, gpointer data);

static gboolean
on_rest_over(gpointer data)
{
    KhFolderWatcher *self = data;

    self->source = g_unix_fd_add(self->fd, G_IO_IN, on_events, self);
    return G_SOURCE_REMOVE;
}

/*
 * A bufferful; of what else has come by then nobody looks which folder it is of. Then it rests,
 * since a machine writes its disk in a folder as often as it likes.
 */
static gboolean
on_events(int fd, GIOCondition condition, gpointer data)
{
    g_autoptr(KhFolderWatcher) self = g_object_ref(data);
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof buffer);
    guint more = 0;

    self->bufferful++;
    self->source = g_timeout_add(KH_FOLDER_REST_MS, on_rest_over, self);
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

        tell_of(self, event);
        at += (ssize_t)(sizeof *event + event->len);
    }
    while (more < READS_MAX && read(fd, buffer, sizeof buffer) > 0)
        more++;
    if (more > 0)
        tell_all(self);
    return G_SOURCE_REMOVE;
}

static gboolean
begin(KhFolderWatcher *self)
{
    if (self->fd >= 0)
        return TRUE;
    self->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (self->fd < 0)
        return FALSE;
    self->source = g_unix_fd_add(self->fd, G_IO_IN, on_events, self);
    return TRUE;
}

/* By way of the descriptor, so that no path is followed. A folder has one number for all. */
static int
watch_folder(KhFolderWatcher *self, int folder)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", folder);

    return begin(self) ? inotify_add_watch(self->fd, path, EVENTS) : -1;
}

KhFolderWatch *
kh_folder_watcher_add(KhFolderWatcher *self, int folder, const char *prefix, KhFolderNews news,
                      gpointer user_data, GError **error)
{
    int number = watch_folder(self, folder);
    GPtrArray *watches;
    KhFolderWatch *watch;

    if (number < 0) {
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "The folder cannot be watched: %s", g_strerror(errno));
        return NULL;
    }
    watches = g_hash_table_lookup(self->folders, GINT_TO_POINTER(number));
    if (watches == NULL) {
        watches = g_ptr_array_new_with_free_func(watch_free);
        g_hash_table_insert(self->folders, GINT_TO_POINTER(number), watches);
    }
    watch = g_new0(KhFolderWatch, 1);
    watch->number = number;
    watch->prefix = g_strdup(prefix);
    watch->news = news;
    watch->user_data = user_data;
    g_ptr_array_add(watches, watch);
    return watch;
}

void
kh_folder_watcher_remove(KhFolderWatcher *self, KhFolderWatch *watch)
{
    int number = watch->number;
    GPtrArray *watches = g_hash_table_lookup(self->folders, GINT_TO_POINTER(number));

    g_return_if_fail(watches != NULL && g_ptr_array_remove(watches, watch));
    if (watches->len > 0)
        return;
    g_hash_table_remove(self->folders, GINT_TO_POINTER(number));
    inotify_rm_watch(self->fd, number);
}
