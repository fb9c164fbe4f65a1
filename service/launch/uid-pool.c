/* SPDX-License-Identifier: MIT */
/* A uid of its own for each instance; see uid-pool.h. */
#include "uid-pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "sizes.h"

#define UID_MIN 1000
#define UID_MAX 4294967293u /* the two above mean "none" and "unmapped" */
#define OWNER_MAX 4096

struct _KhUidPool {
    GObject parent_instance;
    KhStore *store;
    KhUidRange range;
    char *owner;
    int folder_fd;
};

G_DEFINE_FINAL_TYPE(KhUidPool, kh_uid_pool, G_TYPE_OBJECT)

static void
kh_uid_pool_finalize(GObject *object)
{
    KhUidPool *self = KH_UID_POOL(object);

    if (self->folder_fd >= 0)
        close(self->folder_fd);
    g_clear_object(&self->store);
    g_free(self->owner);
    G_OBJECT_CLASS(kh_uid_pool_parent_class)->finalize(object);
}

static void
kh_uid_pool_class_init(KhUidPoolClass *class)
{
    G_OBJECT_CLASS(class)->finalize = kh_uid_pool_finalize;
}

static void
kh_uid_pool_init(KhUidPool *self)
{
    self->folder_fd = -1;
}

gboolean
kh_uid_range_parse(const char *text, KhUidRange *range, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, "-", 2);
    guint64 first, last;

    if (g_strv_length(parts) != 2) {
        g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                    "vm-uid-range is \"%s\", it must look like %s", text, KH_UID_RANGE_DEFAULT);
        return FALSE;
    }
    if (!kh_number_parse(parts[0], "vm-uid-range", UID_MIN, UID_MAX, &first, error) ||
        !kh_number_parse(parts[1], "vm-uid-range", first, UID_MAX, &last, error))
        return FALSE;
    *range = (KhUidRange){(guint32)first, (guint32)last};
    return TRUE;
}

gboolean
kh_uid_range_is_mapped(const KhUidRange *range, const char *uid_map)
{
    g_auto(GStrv) lines = g_strsplit(uid_map, "\n", -1);

    for (guint i = 0; lines[i] != NULL; i++) {
        guint64 inside, outside, length;

        if (sscanf(lines[i], "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT,
                   &inside, &outside, &length) == 3 &&
            inside <= range->first && range->last < inside + length)
            return TRUE;
    }
    return FALSE;
}

static gboolean
check_mapped(const KhUidRange *range, GError **error)
{
    g_autofree char *uid_map = NULL;

    if (!g_file_get_contents("/proc/self/uid_map", &uid_map, NULL, error))
        return FALSE;
    if (kh_uid_range_is_mapped(range, uid_map))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_FAILED,
                "vm-uid-range %u-%u does not exist in this user namespace (see "
                "/proc/self/uid_map); set vm-uid-range to a range that does",
                range->first, range->last);
    return FALSE;
}

/* The four uids of a process, from the line "Uid:" of its status (proc(5)). */
static void
add_uids_of(GHashTable *uids, const char *pid)
{
    g_autofree char *path = g_build_filename("/proc", pid, "status", NULL);
    g_autofree char *status = NULL;
    const char *line;
    guint uid[4];

    if (!g_file_get_contents(path, &status, NULL, NULL))
        return;
    line = strstr(status, "\nUid:");
    if (line == NULL || sscanf(line, "\nUid: %u %u %u %u", uid, uid + 1, uid + 2, uid + 3) != 4)
        return;
    for (guint i = 0; i < 4; i++)
        g_hash_table_add(uids, GUINT_TO_POINTER(uid[i]));
}

/* Every uid that some process runs as. */
static GHashTable *
uids_of_processes(void)
{
    g_autoptr(GHashTable) uids = g_hash_table_new(NULL, NULL);
    g_autoptr(GDir) proc = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (proc != NULL && (name = g_dir_read_name(proc)) != NULL)
        if (g_ascii_isdigit(name[0]))
            add_uids_of(uids, name);
    return g_steal_pointer(&uids);
}

/* The kernel knows of real uids that /proc may hide (getpriority(2)). */
static gboolean
is_running(GHashTable *running, guint32 uid)
{
    if (g_hash_table_contains(running, GUINT_TO_POINTER(uid)))
        return TRUE;
    errno = 0;
    return getpriority(PRIO_USER, uid) != -1 || errno != ESRCH;
}

static gboolean
write_lock(KhUidPool *self, const char *name)
{
    int fd =
        openat(self->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    gsize length = strlen(self->owner);
    gboolean written;

    if (fd < 0)
        return FALSE;
    written = write(fd, self->owner, length) == (ssize_t)length;
    close(fd);
    if (!written)
        unlinkat(self->folder_fd, name, 0);
    return written;
}

static gboolean
take_lock(KhUidPool *self, guint32 uid)
{
    char name[16];

    g_snprintf(name, sizeof name, "%u", uid);
    return write_lock(self, name);
}

static gboolean
in_range(KhUidPool *self, guint32 uid)
{
    return uid >= self->range.first && uid <= self->range.last;
}

static gint64
claim_never_used(KhUidPool *self, GArray *rows, GHashTable *running)
{
    g_autoptr(GHashTable) known = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < rows->len; i++)
        g_hash_table_add(known, GUINT_TO_POINTER(g_array_index(rows, KhUidRow, i).uid));
    for (guint64 uid = self->range.first; uid <= self->range.last; uid++)
        if (!g_hash_table_contains(known, GUINT_TO_POINTER((guint32)uid)) &&
            !is_running(running, (guint32)uid) && take_lock(self, (guint32)uid))
            return (gint64)uid;
    return -1;
}

/* Rows come by ascending release. */
static gint64
claim_longest_free(KhUidPool *self, GArray *rows, GHashTable *running)
{
    for (guint i = 0; i < rows->len; i++) {
        KhUidRow row = g_array_index(rows, KhUidRow, i);

        if (!row.in_use && in_range(self, row.uid) && !is_running(running, row.uid) &&
            take_lock(self, row.uid))
            return row.uid;
    }
    return -1;
}

gint64
kh_uid_pool_claim(KhUidPool *self, GError **error)
{
    g_autoptr(GArray) rows = kh_store_uids(self->store, error);
    g_autoptr(GHashTable) running = NULL;
    gint64 uid;

    if (rows == NULL)
        return -1;
    running = uids_of_processes();
    uid = claim_never_used(self, rows, running);
    if (uid < 0)
        uid = claim_longest_free(self, rows, running);
    if (uid < 0)
        g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                    "Every uid from %u to %u is in use; delete an instance or widen "
                    "vm-uid-range",
                    self->range.first, self->range.last);
    return uid;
}

static gboolean
lock_is_ours(KhUidPool *self, const char *name)
{
    char text[OWNER_MAX + 1] = "";
    int fd = openat(self->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return FALSE;
    if (read(fd, text, OWNER_MAX) < 0)
        text[0] = '\0';
    close(fd);
    return g_str_equal(text, self->owner);
}

gboolean
kh_uid_pool_confirm(KhUidPool *self, guint32 uid, GError **error)
{
    char name[16];

    g_snprintf(name, sizeof name, "%u", uid);
    if (lock_is_ours(self, name) || write_lock(self, name))
        return TRUE;
    g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                "Uid %u has been claimed by another service on this host (%s/%u)", uid,
                KH_UID_LOCK_FOLDER, uid);
    return FALSE;
}

void
kh_uid_pool_release(KhUidPool *self, guint32 uid)
{
    char name[16];

    g_snprintf(name, sizeof name, "%u", uid);
    if (lock_is_ours(self, name))
        unlinkat(self->folder_fd, name, 0);
}

static void
drop_if_leaked(KhUidPool *self, const char *name, GHashTable *in_use)
{
    guint64 uid;

    if (!g_ascii_string_to_unsigned(name, 10, 0, UID_MAX, &uid, NULL) ||
        g_hash_table_contains(in_use, GUINT_TO_POINTER((guint32)uid)) || !lock_is_ours(self, name))
        return;
    g_message("The claim of uid %s belongs to no instance, and is dropped", name);
    unlinkat(self->folder_fd, name, 0);
}

void
kh_uid_pool_drop_leaked(KhUidPool *self)
{
    g_autoptr(GHashTable) in_use = g_hash_table_new(NULL, NULL);
    g_autoptr(GArray) rows = kh_store_uids(self->store, NULL);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", self->folder_fd);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    for (guint i = 0; rows != NULL && i < rows->len; i++)
        if (g_array_index(rows, KhUidRow, i).in_use)
            g_hash_table_add(in_use, GUINT_TO_POINTER(g_array_index(rows, KhUidRow, i).uid));
    while (rows != NULL && dir != NULL && (name = g_dir_read_name(dir)) != NULL)
        drop_if_leaked(self, name, in_use);
}

/*
 * The claims of a boot are gone with it: what the database holds is claimed before another
 * service can take it.
 */
static void
claim_again(KhUidPool *self)
{
    g_autoptr(GArray) rows = kh_store_uids(self->store, NULL);

    for (guint i = 0; rows != NULL && i < rows->len; i++) {
        KhUidRow row = g_array_index(rows, KhUidRow, i);
        g_autoptr(GError) error = NULL;

        if (row.in_use && !kh_uid_pool_confirm(self, row.uid, &error))
            g_warning("An instance cannot be started: %s", error->message);
    }
}

KhUidPool *
kh_uid_pool_new(KhStore *store, const KhUidRange *range, const char *lock_folder, const char *owner,
                GError **error)
{
    g_autoptr(KhUidPool) self = g_object_new(KH_TYPE_UID_POOL, NULL);
    g_autofree char *parent = g_path_get_dirname(lock_folder);

    if (!check_mapped(range, error))
        return NULL;
    g_mkdir_with_parents(parent, 0711);
    g_mkdir_with_parents(lock_folder, 0700);
    self->folder_fd = open(lock_folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (self->folder_fd < 0) {
        g_set_error(error, KH_ERROR, KH_ERROR_FAILED, "%s cannot be opened: %s", lock_folder,
                    g_strerror(errno));
        return NULL;
    }
    self->store = g_object_ref(store);
    self->range = *range;
    self->owner = g_strdup(owner);
    claim_again(self);
    return g_steal_pointer(&self);
}
