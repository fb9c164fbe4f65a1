/* SPDX-License-Identifier: MIT */
/* A uid of its own for each instance; see uid-pool.h. */
#include "uid-pool.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "error.h"
#include "launch/process.h"
#include "uid-claim.h"

struct _KhUidPool {
    GObject parent_instance;
    KhStore *store;
    KhUidRange range;
    char *owner;
    KhUidClaims claims;
    GHashTable *used;   /* uids that have a row, which stays, or will have */
    GQueue free;        /* those of them that no row has now, the longest free one first */
    guint64 unused;     /* how many of the range were not */
    guint32 next;       /* where to look for one of these */
    GHashTable *spared; /* uids of whom nothing is known but that they are in use; or NULL */
    GMutex looking;     /* of the two below, which threads use */
    GHashTable *look;   /* the last look at all processes; NULL where that was not possible */
    gint64 look_begun;  /* monotonic */
};

G_DEFINE_FINAL_TYPE(KhUidPool, kh_uid_pool, G_TYPE_OBJECT)

static void
kh_uid_pool_finalize(GObject *object)
{
    KhUidPool *self = KH_UID_POOL(object);

    if (self->claims.folder_fd >= 0)
        close(self->claims.folder_fd);
    if (self->claims.owner_fd >= 0)
        close(self->claims.owner_fd);
    g_clear_pointer(&self->spared, g_hash_table_unref);
    g_clear_pointer(&self->look, g_hash_table_unref);
    g_mutex_clear(&self->looking);
    g_queue_clear(&self->free);
    g_hash_table_unref(self->used);
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
    self->claims.folder_fd = self->claims.owner_fd = -1;
    self->used = g_hash_table_new(NULL, NULL);
    g_queue_init(&self->free);
    g_mutex_init(&self->looking);
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
    return kh_error_set(error, KH_ERROR_FAILED,
                        "vm-uid-range %u-%u does not exist in this user namespace (see "
                        "/proc/self/uid_map); set vm-uid-range to a range that does",
                        range->first, range->last);
}

/* What names a uid's claim. */
typedef struct {
    char text[16];
} ClaimName;

static ClaimName
name_of(guint32 uid)
{
    ClaimName name;

    g_snprintf(name.text, sizeof name.text, "%u", uid);
    return name;
}

static gboolean
is_spared(KhUidPool *self, guint32 uid)
{
    return self->spared != NULL && g_hash_table_contains(self->spared, GUINT_TO_POINTER(uid));
}

/* Whether it may be given out at all; @running is a look at all processes. */
static gboolean
is_free(KhUidPool *self, guint32 uid, GHashTable *running)
{
    return !is_spared(self, uid) && !kh_uids_include(running, uid);
}

static gboolean
in_range(KhUidPool *self, guint32 uid)
{
    return uid >= self->range.first && uid <= self->range.last;
}

static gboolean
try_claim(KhUidPool *self, guint32 uid, GHashTable *running)
{
    if (!is_free(self, uid, running) || !kh_uid_claim_make(&self->claims, name_of(uid).text))
        return FALSE;
    g_hash_table_add(self->used, GUINT_TO_POINTER(uid));
    return TRUE;
}

/* Goes on where it ended, and begins anew where the range does: claims of others have gone. */
static gint64
claim_never_used(KhUidPool *self, GHashTable *running)
{
    guint64 count = (guint64)self->range.last - self->range.first + 1;

    for (guint64 i = 0; i < count && self->unused > 0; i++) {
        guint32 uid = self->next;

        self->next = uid == self->range.last ? self->range.first : uid + 1;
        if (!g_hash_table_contains(self->used, GUINT_TO_POINTER(uid)) &&
            try_claim(self, uid, running)) {
            self->unused--;
            return uid;
        }
    }
    return -1;
}

static gint64
claim_longest_free(KhUidPool *self, GHashTable *running)
{
    for (GList *i = self->free.head; i != NULL; i = i->next) {
        guint32 uid = GPOINTER_TO_UINT(i->data);

        if (in_range(self, uid) && try_claim(self, uid, running)) {
            g_queue_delete_link(&self->free, i);
            return uid;
        }
    }
    return -1;
}

static void
look_in_thread(GTask *task, gpointer source, gpointer asked, GCancellable *cancellable)
{
    KhUidPool *self = source;
    g_autoptr(GMutexLocker) locker = g_mutex_locker_new(&self->looking);

    if (self->look_begun <= *(gint64 *)asked) {
        g_clear_pointer(&self->look, g_hash_table_unref);
        self->look_begun = g_get_monotonic_time();
        self->look = kh_uids_of_processes();
    }
    g_task_return_pointer(task, self->look == NULL ? NULL : g_hash_table_ref(self->look),
                          (GDestroyNotify)g_hash_table_unref);
}

void
kh_uid_pool_look_async(KhUidPool *self, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(self, NULL, callback, user_data);
    gint64 now = g_get_monotonic_time();

    g_task_set_source_tag(task, kh_uid_pool_look_async);
    g_task_set_task_data(task, g_memdup2(&now, sizeof now), g_free);
    g_task_run_in_thread(task, look_in_thread);
}

GHashTable *
kh_uid_pool_look_finish(KhUidPool *self, GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}

gint64
kh_uid_pool_claim(KhUidPool *self, GHashTable *running, GError **error)
{
    gint64 uid;

    if (running == NULL) {
        g_set_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE,
                    "No uid can be assigned, because /proc cannot be read to see which are in use; "
                    "the service may have run out of file descriptors");
        return -1;
    }
    uid = claim_never_used(self, running);
    if (uid < 0)
        uid = claim_longest_free(self, running);
    if (uid < 0)
        g_set_error(error, KH_ERROR, KH_ERROR_LIMIT_EXCEEDED,
                    "Every uid from %u to %u is in use; delete an instance or widen vm-uid-range",
                    self->range.first, self->range.last);
    return uid;
}

static gboolean
lives_as(const KhProcess *process, guint32 uid)
{
    g_autoptr(KhProcessHandle) handle = kh_process_handle_open(process, NULL);

    return handle != NULL && kh_process_handle_check_owner(handle, uid, NULL);
}

/* What is looked at once for many uids; the rows only when they are needed. */
typedef struct {
    GHashTable *running;
    GPtrArray *records;
} Look;

static void
look_clear(Look *look)
{
    g_clear_pointer(&look->running, g_hash_table_unref);
    g_clear_pointer(&look->records, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Look, look_clear)

/* Whether what runs as @uid is a machine of this database, whose state was moved under it. */
static gboolean
is_own_machine(KhUidPool *self, guint32 uid, Look *look)
{
    if (look->records == NULL)
        look->records = kh_store_load(self->store, NULL);
    for (guint i = 0; look->records != NULL && i < look->records->len; i++) {
        const KhRecord *record = look->records->pdata[i];

        if (record->vm_uid == uid)
            return lives_as(&record->qemu, uid) || lives_as(&record->shim, uid);
    }
    return FALSE;
}

/*
 * Makes the claim of @uid, which the database holds, good. A folder that is not there has been
 * moved, most likely: to here. It may also be hidden from this service, so that what lives
 * under the uid must be known.
 */
static gboolean
confirm(KhUidPool *self, guint32 uid, Look *look, GError **error)
{
    ClaimName name = name_of(uid);
    g_autofree char *path = NULL;
    KhUidClaim claim = kh_uid_claim_look(&self->claims, name.text, &path);
    gboolean good = claim == KH_UID_CLAIM_OURS;

    if (claim == KH_UID_CLAIM_NONE)
        good = kh_uid_claim_make(&self->claims, name.text);
    else if (claim == KH_UID_CLAIM_ABANDONED &&
             (!kh_uids_include(look->running, uid) || is_own_machine(self, uid, look)))
        good = kh_uid_claim_take_over(&self->claims, name.text);
    if (good)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_RESOURCE_UNAVAILABLE,
        "Uid %u has been claimed by another service on this host, with the state folder "
        "%s; when there is no such service any more, remove %s/%u",
        uid, path != NULL ? path : "that is not known", KH_UID_LOCK_FOLDER, uid);
}

gboolean
kh_uid_pool_confirm(KhUidPool *self, guint32 uid, GError **error)
{
    g_auto(Look) look = {NULL, NULL};
    ClaimName name = name_of(uid);

    /* Without a look the claim of one that no row has is a living stranger's. */
    if (kh_uid_claim_look(&self->claims, name.text, NULL) == KH_UID_CLAIM_ABANDONED &&
        kh_store_get_uid_use(self->store, uid) == KH_UID_USE_HELD)
        look.running = kh_uids_of_processes();
    return confirm(self, uid, &look, error);
}

/* As the database says: what it holds, or does not answer about, stays claimed. */
void
kh_uid_pool_release(KhUidPool *self, guint32 uid)
{
    gpointer key = GUINT_TO_POINTER(uid);
    KhUidUse use = kh_store_get_uid_use(self->store, uid);

    if (use == KH_UID_USE_HELD || use == KH_UID_USE_UNKNOWN)
        return;
    if (use == KH_UID_USE_FREE)
        g_queue_push_tail(&self->free, key);
    else if (g_hash_table_remove(self->used, key))
        self->unused++;
    kh_uid_claim_drop(&self->claims, name_of(uid).text);
}

gboolean
kh_uid_pool_is_foreign(KhUidPool *self, guint32 uid)
{
    g_autofree char *path = NULL;

    return kh_uid_claim_look(&self->claims, name_of(uid).text, &path) == KH_UID_CLAIM_FOREIGN &&
           path != NULL && g_file_test(path, G_FILE_TEST_IS_DIR);
}

void
kh_uid_pool_spare(KhUidPool *self, GHashTable *uids)
{
    g_clear_pointer(&self->spared, g_hash_table_unref);
    self->spared = uids == NULL ? NULL : g_hash_table_ref(uids);
    self->next = self->range.first;
}

static void
drop_if_leaked(KhUidPool *self, const char *name, GHashTable *kept, GHashTable *running)
{
    guint64 uid;

    if (kh_uid_claim_is_unfinished(name)) {
        kh_uid_claim_drop(&self->claims, name);
        return;
    }
    if (!g_ascii_string_to_unsigned(name, 10, 0, KH_UID_MAX, &uid, NULL) ||
        g_hash_table_contains(kept, GUINT_TO_POINTER((guint32)uid)) ||
        kh_uid_claim_look(&self->claims, name, NULL) != KH_UID_CLAIM_OURS ||
        !is_free(self, (guint32)uid, running))
        return;
    g_message("The claim of uid %s belongs to no instance, and is dropped", name);
    kh_uid_claim_drop(&self->claims, name);
}

/* Uids whose claims stay, whoever lives under them: held by rows, or spared by the caller. */
static GHashTable *
kept_uids(GArray *rows, GHashTable *spared)
{
    GHashTable *kept = g_hash_table_new(NULL, NULL);
    GHashTableIter iter;
    gpointer uid;

    for (guint i = 0; i < rows->len; i++)
        if (g_array_index(rows, KhUidRow, i).in_use)
            g_hash_table_add(kept, GUINT_TO_POINTER(g_array_index(rows, KhUidRow, i).uid));
    if (spared == NULL)
        return kept;
    g_hash_table_iter_init(&iter, spared);
    while (g_hash_table_iter_next(&iter, &uid, NULL))
        g_hash_table_add(kept, uid);
    return kept;
}

void
kh_uid_pool_drop_leaked(KhUidPool *self, GHashTable *spared)
{
    g_autoptr(GHashTable) kept = NULL;
    g_autoptr(GHashTable) running = kh_uids_of_processes();
    g_autoptr(GArray) rows = kh_store_uids(self->store, NULL);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", self->claims.folder_fd);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    if (rows == NULL || dir == NULL)
        return;
    kept = kept_uids(rows, spared);
    while ((name = g_dir_read_name(dir)) != NULL)
        drop_if_leaked(self, name, kept, running);
}

/* Rows come by ascending release. */
static void
note_row(KhUidPool *self, const KhUidRow *row)
{
    gpointer uid = GUINT_TO_POINTER(row->uid);

    g_hash_table_add(self->used, uid);
    if (!row->in_use)
        g_queue_push_tail(&self->free, uid);
    if (in_range(self, row->uid))
        self->unused--;
}

/*
 * The claims of a boot are gone with it: what the database holds is claimed before another
 * service can take it.
 */
static void
claim_again(KhUidPool *self)
{
    g_autoptr(GArray) rows = kh_store_uids(self->store, NULL);
    g_auto(Look) look = {kh_uids_of_processes(), NULL};

    for (guint i = 0; rows != NULL && i < rows->len; i++) {
        KhUidRow row = g_array_index(rows, KhUidRow, i);
        g_autoptr(GError) error = NULL;

        note_row(self, &row);
        if (row.in_use && !confirm(self, row.uid, &look, &error))
            g_warning("An instance cannot be started: %s", error->message);
    }
}

static gboolean
open_claims(KhUidPool *self, const char *folder, int owner_fd, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(folder);

    g_mkdir_with_parents(parent, 0711);
    g_mkdir_with_parents(folder, 0700);
    self->claims.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (self->claims.folder_fd < 0)
        return kh_error_set_errno(error, folder, "opened");
    self->claims.owner_fd = fcntl(owner_fd, F_DUPFD_CLOEXEC, 0);
    return self->claims.owner_fd >= 0 || kh_error_set_errno(error, self->owner, "held open");
}

KhUidPool *
kh_uid_pool_new(KhStore *store, const KhUidRange *range, const char *lock_folder, const char *owner,
                int owner_fd, GError **error)
{
    g_autoptr(KhUidPool) self = g_object_new(KH_TYPE_UID_POOL, NULL);

    if (!check_mapped(range, error))
        return NULL;
    self->store = g_object_ref(store);
    self->range = *range;
    self->next = range->first;
    self->unused = (guint64)range->last - range->first + 1;
    self->owner = g_strdup(owner);
    self->claims.owner = self->owner;
    if (!open_claims(self, lock_folder, owner_fd, error))
        return NULL;
    claim_again(self);
    return g_steal_pointer(&self);
}
