/* SPDX-License-Identifier: MIT */
/*
 * Tests of what is said of a disk that fails: SQLite's calls of the system are made to, one
 * after the other (sqlite3_vfs.xSetSystemCall).
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "state/copies.h"
#include "state/store.h"

/* What the next call fails with; 0: it works. */
static int read_error, write_error;

typedef struct {
    char *folder, *path, *copy;
} Fixture;

static ssize_t
read_or_fail(int fd, void *bytes, size_t length, off_t offset)
{
    if (read_error == 0)
        return pread(fd, bytes, length, offset);
    errno = read_error;
    return -1;
}

static ssize_t
write_or_fail(int fd, const void *bytes, size_t length, off_t offset)
{
    if (write_error == 0)
        return pwrite(fd, bytes, length, offset);
    errno = write_error;
    return -1;
}

/* Which name it has is a matter of SQLite's build. */
static void
replace_calls(void)
{
    static const char *const names[] = {"pread", "pread64", "pwrite", "pwrite64"};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        gboolean reads = g_str_has_prefix(names[i], "pread");

        vfs->xSetSystemCall(vfs, names[i],
                            reads ? (sqlite3_syscall_ptr)read_or_fail
                                  : (sqlite3_syscall_ptr)write_or_fail);
    }
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->folder = g_dir_make_tmp("kh-disk-errors-XXXXXX", NULL);
    f->path = g_build_filename(f->folder, "state.db", NULL);
    f->copy = g_strconcat(f->path, KH_COPIES_SUFFIX, NULL);
    g_object_unref(kh_store_open(f->path, NULL));
    g_assert_true(g_file_set_contents(f->copy, "", -1, NULL));
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_autoptr(GDir) dir = g_dir_open(f->folder, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(f->folder, name, NULL);

        g_unlink(path);
    }
    g_assert_cmpint(g_rmdir(f->folder), ==, 0);
    g_free(f->folder);
    g_free(f->path);
    g_free(f->copy);
}

/* With the database's name, the system's word and the copy; of damage, or not. */
static void
assert_says(const GError *error, Fixture *f, int number, gboolean damage)
{
    g_assert_error(error, KH_ERROR, KH_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, g_strerror(number)));
    g_assert_cmpint(strstr(error->message, "damaged") != NULL, ==, damage);
    g_assert_cmpint(strstr(error->message, f->path) != NULL, ==, damage);
    g_assert_cmpint(strstr(error->message, f->copy) != NULL, ==, damage);
}

static void
open_fails(Fixture *f, int number, gboolean damage)
{
    g_autoptr(KhStore) store = NULL;
    g_autoptr(GError) error = NULL;

    read_error = number;
    store = kh_store_open(f->path, &error);
    read_error = 0;
    g_assert_null(store);
    assert_says(error, f, number, damage);
}

static void
unreadable(Fixture *f, gconstpointer data)
{
    open_fails(f, EIO, TRUE);
    open_fails(f, ENOMEM, FALSE);
}

static GError *
failed_write(KhStore *store, int number)
{
    GError *error = NULL;

    write_error = number;
    g_assert_false(kh_store_set_setting(store, "key", "value", &error));
    write_error = 0;
    return error;
}

static void
unwritable(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = kh_store_open(f->path, NULL);
    g_autoptr(GError) bad = failed_write(store, EIO);
    g_autoptr(GError) read_only = failed_write(store, EROFS);

    assert_says(bad, f, EIO, TRUE);
    assert_says(read_only, f, EROFS, FALSE);
    g_assert_true(kh_store_set_setting(store, "key", "value", NULL));
}

/* A quota is a full disk: free some. */
static void
full(Fixture *f, gconstpointer data)
{
    g_autoptr(KhStore) store = kh_store_open(f->path, NULL);
    g_autoptr(GError) quota = failed_write(store, EDQUOT);
    g_autoptr(GError) disk = failed_write(store, ENOSPC);

    g_assert_error(quota, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_nonnull(strstr(quota->message, g_strerror(EDQUOT)));
    g_assert_error(disk, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_true(kh_store_set_setting(store, "key", "value", NULL));
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    replace_calls();
    ADD("/disk-errors/unreadable", unreadable);
    ADD("/disk-errors/unwritable", unwritable);
    ADD("/disk-errors/full", full);
    return g_test_run();
}
