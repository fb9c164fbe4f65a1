/* SPDX-License-Identifier: MIT */
/* Tests of the boot components kept by content. */
#include "image/image-store.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "image/hash.h"
#include "state/instance-dir-removal.h"
#include "state/instance-dir.h"

typedef struct {
    char *base, *images, *source;
    int fd;
    KhImageStore *store;
    GAsyncResult *result;
} Fixture;

static void
write_part(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->source, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->base = g_dir_make_tmp("kh-image-XXXXXX", NULL);
    f->images = g_build_filename(f->base, "images", NULL);
    f->source = g_build_filename(f->base, "source", NULL);
    g_mkdir(f->images, 0711);
    g_mkdir(f->source, 0755);
    write_part(f, "vmlinuz", "kernel");
    write_part(f, "initrd.img", "initrd");
    write_part(f, "build-info.txt", "# note\nKERNEL_VERSION=6.12\nBAD\nX=a\033b\n");
    f->fd = open(f->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->store = kh_image_store_new(f->fd, f->images);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_clear_object(&f->store);
    close(f->fd);
    kh_instance_dir_remove(-1, f->base, NULL, NULL);
    g_free(f->base);
    g_free(f->images);
    g_free(f->source);
}

static void
keep_result(GObject *source, GAsyncResult *result, gpointer data)
{
    ((Fixture *)data)->result = g_object_ref(result);
}

static void
wait_for_result(Fixture *f)
{
    while (f->result == NULL)
        g_main_context_iteration(NULL, TRUE);
}

static char *
import(Fixture *f, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    f->result = NULL;
    kh_image_store_import_async(f->store, f->source, NULL, keep_result, f);
    wait_for_result(f);
    result = f->result;
    return kh_image_store_import_finish(f->store, result, error);
}

static gboolean
verify(Fixture *f, const char *id, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    f->result = NULL;
    kh_image_store_verify_async(f->store, id, NULL, keep_result, f);
    wait_for_result(f);
    result = f->result;
    return kh_image_store_verify_finish(f->store, result, error);
}

static void
hashes(void)
{
    g_autofree char *empty = kh_hash_text("");
    g_autofree char *abc = kh_hash_text("abc"); /* FIPS 180-2, appendix B.1 */

    g_assert_cmpstr(empty, ==, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    g_assert_cmpstr(abc, ==, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void
imports_once(Fixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *first = import(f, &error);
    g_autofree char *second = import(f, NULL);
    g_autofree char *file = NULL;
    const KhImage *image;
    struct stat st;

    g_assert_no_error(error);
    g_assert_cmpstr(first, ==, second);
    image = kh_image_store_find(f->store, first);
    g_assert_cmpuint(image->parts->len, ==, 2);
    g_assert_cmpuint(kh_image_part(image, "vmlinuz")->size, ==, 6);
    g_assert_cmpstr(g_hash_table_lookup(image->build_info, "KERNEL_VERSION"), ==, "6.12");
    g_assert_null(strchr(g_hash_table_lookup(image->build_info, "X"), '\033'));
    file = g_build_filename(f->images, first, "vmlinuz", NULL);
    g_assert_cmpint(g_stat(file, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0444);
    g_assert_true(verify(f, first, NULL));
}

/* A new folder on another file system than @path; NULL where there is none. */
static char *
make_elsewhere(const char *path)
{
    g_autofree char *made = g_strdup("/dev/shm/kh-image-XXXXXX");
    struct stat here, there;

    if (g_mkdtemp(made) == NULL)
        return NULL;
    if (g_stat(path, &here) == 0 && g_stat(made, &there) == 0 && here.st_dev != there.st_dev)
        return g_steal_pointer(&made);
    g_rmdir(made);
    return NULL;
}

static void
from_another_file_system(Fixture *f, gconstpointer data)
{
    char *elsewhere = make_elsewhere(f->images);
    g_autofree char *text = g_strnfill(3 * 1024 * 1024 + 5, 'k');
    g_autofree char *sha256 = NULL, *id = NULL;
    g_autoptr(GError) error = NULL;

    if (elsewhere == NULL) {
        g_test_skip("/dev/shm is no other file system than the temporary folder's");
        return;
    }
    g_free(f->source);
    f->source = elsewhere;
    text[1000000] = 'x';
    sha256 = kh_hash_text(text);
    write_part(f, "vmlinuz", text);
    write_part(f, "initrd.img", "initrd");
    id = import(f, &error);
    kh_instance_dir_remove(-1, elsewhere, NULL, NULL);
    g_assert_no_error(error);
    g_assert_cmpstr(kh_image_part(kh_image_store_find(f->store, id), "vmlinuz")->sha256, ==,
                    sha256);
    g_assert_true(verify(f, id, NULL));
}

static gboolean
is_empty(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    return g_dir_read_name(dir) == NULL;
}

/* A thread removes the files, for as long as five seconds. */
static void
wait_for_removal(Fixture *f)
{
    for (guint i = 0; i < 500 && !is_empty(f->images); i++)
        g_usleep(10 * 1000);
}

static void
a_change_is_another_image(Fixture *f, gconstpointer data)
{
    g_autofree char *first = import(f, NULL);
    g_autofree char *second = NULL;
    g_autoptr(GPtrArray) ids = NULL;

    write_part(f, "initrd.img", "INITRD");
    second = import(f, NULL);
    g_assert_cmpstr(first, !=, second);
    g_assert_true(verify(f, first, NULL));
    g_assert_true(verify(f, second, NULL));
    g_clear_object(&f->store);
    f->store = kh_image_store_new(f->fd, f->images);
    ids = kh_image_store_list(f->store);
    g_assert_cmpuint(ids->len, ==, 2);
    kh_image_store_remove(f->store, first);
    g_assert_null(kh_image_store_find(f->store, first));
    g_assert_cmpint(faccessat(f->fd, first, F_OK, 0), ==, -1);
    kh_image_store_remove(f->store, second);
    wait_for_removal(f);
}

/* The processor's time of this thread, in milliseconds: what others do does not count. */
static gint64
own_time_ms(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (gint64)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* What takes the file system long, as many files do, is nothing that the main loop waits for. */
static void
a_removal_is_quick(Fixture *f, gconstpointer data)
{
    g_autofree char *id = import(f, NULL);
    int folder = kh_instance_dir_open(f->fd, id, NULL);
    gint64 begun;

    for (guint i = 0; i < 30000; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);

        close(openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    close(folder);
    begun = own_time_ms();
    kh_image_store_remove(f->store, id);
    g_assert_cmpint(own_time_ms() - begun, <, 50);
    g_assert_cmpint(faccessat(f->fd, id, F_OK, 0), ==, -1);
    wait_for_removal(f);
    g_assert_true(is_empty(f->images));
}

static void
assert_refused(Fixture *f, const char *says)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(import(f, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_RESOURCE_UNAVAILABLE);
    g_assert_nonnull(strstr(error->message, "initrd.img"));
    g_assert_nonnull(strstr(error->message, says));
}

static void
bad_parts(Fixture *f, gconstpointer data)
{
    g_autofree char *path = g_build_filename(f->source, "initrd.img", NULL);
    g_autoptr(GDir) left = NULL;

    g_unlink(path);
    assert_refused(f, "No such file");
    write_part(f, "initrd.img", "");
    assert_refused(f, "is empty");
    g_unlink(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    assert_refused(f, "is not a regular file");
    g_unlink(path);
    write_part(f, "initrd.img", "");
    g_assert_cmpint(truncate(path, (1 << 30) + 1), ==, 0);
    assert_refused(f, "is larger than 1 GiB");
    g_unlink(path);
    g_mkdir(path, 0755);
    assert_refused(f, "is not a regular file");
    left = g_dir_open(f->images, 0, NULL);
    g_assert_null(g_dir_read_name(left));
}

static void
tampering(Fixture *f, gconstpointer data)
{
    g_autofree char *id = import(f, NULL);
    g_autofree char *kernel = g_build_filename(f->images, id, "vmlinuz", NULL);
    g_autofree char *before = kh_hash_text("kernel"), *after = kh_hash_text("Kernel");
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(kernel, "Kernel", -1, NULL));
    g_assert_false(verify(f, id, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH);
    g_assert_nonnull(strstr(error->message, before));
    g_assert_nonnull(strstr(error->message, after));
    g_clear_error(&error);
    g_unlink(kernel);
    g_assert_false(verify(f, id, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH);
}

static void
write_file(Fixture *f, const char *id, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->images, id, name, NULL);

    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* Whatever was done to it, the next import makes it whole, and leaves nothing else behind. */
static void
mends(Fixture *f, gconstpointer data)
{
    static const char *const names[] = {"vmlinuz", "parts"};
    g_autofree char *id = import(f, NULL);

    for (guint i = 0; i < 2 * G_N_ELEMENTS(names); i++) {
        g_autofree char *again = NULL;
        g_autoptr(GPtrArray) ids = NULL;
        g_autoptr(GDir) dir = NULL;

        write_file(f, id, names[i / 2], "changed");
        g_assert_false(verify(f, id, NULL));
        /* By the same service, and by the next one, which leaves an unreadable one out. */
        if (i % 2 == 1) {
            g_clear_object(&f->store);
            if (i / 2 == 1)
                g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*left out*");
            f->store = kh_image_store_new(f->fd, f->images);
            g_test_assert_expected_messages();
        }
        again = import(f, NULL);
        g_assert_cmpstr(again, ==, id);
        g_assert_true(verify(f, id, NULL));
        ids = kh_image_store_list(f->store);
        g_assert_cmpuint(ids->len, ==, 1);
        dir = g_dir_open(f->images, 0, NULL);
        g_assert_cmpstr(g_dir_read_name(dir), ==, id);
        g_assert_null(g_dir_read_name(dir));
    }
}

/* What was taken in by an earlier service is copied and hashed once more, and not again. */
static void
remembers_the_source(Fixture *f, gconstpointer data)
{
    g_autofree char *first = import(f, NULL), *second = NULL, *third = NULL;

    g_clear_object(&f->store);
    f->store = kh_image_store_new(f->fd, f->images);
    second = import(f, NULL);
    g_assert_cmpstr(second, ==, first);
    /* An import that copies finds this out. */
    write_file(f, first, "vmlinuz", "changed");
    third = import(f, NULL);
    g_assert_cmpstr(third, ==, first);
    g_assert_false(verify(f, first, NULL));
}

static void
tampering_with_the_list(Fixture *f, gconstpointer data)
{
    g_autofree char *id = import(f, NULL);
    g_autofree char *kernel = g_build_filename(f->images, id, "vmlinuz", NULL);
    g_autofree char *parts = g_build_filename(f->images, id, "parts", NULL);
    g_autofree char *sha256 = kh_hash_text("Kernel");
    g_autofree char *line = g_strdup_printf("%s 6 vmlinuz\n", sha256);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(kernel, "Kernel", -1, NULL));
    g_assert_true(g_file_set_contents(parts, line, -1, NULL));
    g_assert_false(verify(f, id, &error));
    g_assert_error(error, KH_ERROR, KH_ERROR_INTEGRITY_MISMATCH);
}

#define ADD(path, function) g_test_add(path, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/image/hash", hashes);
    ADD("/image/import", imports_once);
    ADD("/image/other-file-system", from_another_file_system);
    ADD("/image/change", a_change_is_another_image);
    ADD("/image/removal", a_removal_is_quick);
    ADD("/image/bad", bad_parts);
    ADD("/image/tampering", tampering);
    ADD("/image/mends", mends);
    ADD("/image/remembers", remembers_the_source);
    ADD("/image/tampering-list", tampering_with_the_list);
    return g_test_run();
}
