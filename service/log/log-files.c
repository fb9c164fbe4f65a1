/* SPDX-License-Identifier: MIT */
/*
 * The files of one log; see log-files.h. All descriptors are opened at once, so a rotation
 * meanwhile takes nothing away.
 */
#include "log-files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "state/instance-dir.h"

/* A file is rotated when a line has made it too long, and a line is at most this long. */
#define LINE_MAX_BYTES 65536
#define CHUNK 65536
/* An honest folder has a few boots and a dozen files. */
#define ENTRIES_MAX 4096

typedef struct {
    int fd;
    off_t at, end; /* what is still to be read */
} File;

struct _KhLogFiles {
    int folder;
    char *name;
    gint64 uid;
    off_t size_max;
    guint files_max;
    GArray *files; /* of File, oldest first */
};

static File *
file_at(GArray *files, guint i)
{
    return &g_array_index(files, File, i);
}

static void
drop_first(GArray *files, guint n)
{
    for (guint i = 0; i < n; i++)
        close(file_at(files, i)->fd);
    g_array_remove_range(files, 0, n);
}

void
kh_log_files_free(KhLogFiles *self)
{
    drop_first(self->files, self->files->len);
    g_array_unref(self->files);
    if (self->folder >= 0)
        close(self->folder);
    g_free(self->name);
    g_free(self);
}

/* Reads to the end that there is now; of what is too long by the end only. */
static void
look_at_end(const KhLogFiles *self, File *file)
{
    file->end = MAX(lseek(file->fd, 0, SEEK_END), 0);
    if (file->end - file->at > self->size_max)
        file->at = file->end - self->size_max;
}

static gboolean
same_file(int a, int b)
{
    struct stat first, second;

    return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
           first.st_dev == second.st_dev;
}

/* A missing number ends the row. One that is rotated meanwhile turns up twice. */
static GArray *
open_row(const KhLogFiles *self)
{
    GArray *row = g_array_new(FALSE, FALSE, sizeof(File));

    for (guint i = 0; i < self->files_max; i++) {
        g_autofree char *name =
            i == 0 ? g_strdup(self->name) : g_strdup_printf("%s.%u", self->name, i);
        File file = {.fd = kh_instance_dir_open_file(self->folder, name, self->uid, NULL)};

        if (file.fd < 0 && i > 0)
            break;
        if (file.fd < 0)
            continue;
        if (row->len > 0 && same_file(file.fd, file_at(row, 0)->fd)) {
            close(file.fd);
            continue;
        }
        look_at_end(self, &file);
        g_array_prepend_val(row, file);
    }
    return row;
}

/* Where the last @lines line feeds of @n bytes begin; those that were found are taken off. */
static ssize_t
find_feed(const char *bytes, ssize_t n, guint *lines)
{
    for (ssize_t i = n - 1; i >= 0; i--)
        if (bytes[i] == '\n' && --*lines == 0)
            return i;
    return -1;
}

/*
 * Skips what comes before the last @lines lines of @file; what is still missing is left in
 * @lines. A last line without its end counts.
 */
static void
skip_in_file(File *file, guint *lines)
{
    g_autofree char *buffer = g_malloc(CHUNK);
    off_t end = file->end - 1; /* the very last byte begins no line */

    while (end > file->at) {
        off_t start = MAX(end - CHUNK, file->at);
        ssize_t n = pread(file->fd, buffer, (size_t)(end - start), start);
        ssize_t feed = find_feed(buffer, n, lines);

        if (feed >= 0) {
            file->at = start + feed + 1;
            return;
        }
        if (n <= 0)
            break;
        end = start;
    }
    if (file->end > file->at)
        --*lines;
}

static void
skip_to_last(KhLogFiles *self, guint lines)
{
    for (guint i = self->files->len; i-- > 0;) {
        skip_in_file(file_at(self->files, i), &lines);
        if (lines == 0) {
            drop_first(self->files, i);
            return;
        }
    }
}

static int
compare_down(gconstpointer a, gconstpointer b)
{
    return *(const guint *)b > *(const guint *)a ? 1 : -1;
}

/* The number of the boot-N folder that is -@boot before the current one; 0 for none. */
static guint
find_boot(int folder, int boot)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(guint));
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *entry;
    guint wanted = (guint)(-(gint64)boot);

    for (guint i = 0; dir != NULL && i < ENTRIES_MAX && (entry = readdir(dir)) != NULL; i++) {
        guint number;
        int end = 0;

        if (sscanf(entry->d_name, "boot-%9u%n", &number, &end) == 1 && number > 0 &&
            entry->d_name[end] == '\0')
            g_array_append_val(numbers, number);
    }
    if (dir != NULL)
        closedir(dir);
    g_array_sort(numbers, compare_down);
    return wanted >= 1 && wanted <= numbers->len ? g_array_index(numbers, guint, wanted - 1) : 0;
}

static int
open_boot_folder(int folder, int boot, GError **error)
{
    g_autofree char *name = NULL;
    guint number;

    if (boot == 0)
        return kh_instance_dir_open(folder, ".", error);
    number = boot > 0 ? 0 : find_boot(folder, boot);
    if (number == 0) {
        g_set_error(error, KH_ERROR, boot > 0 ? KH_ERROR_INVALID_ARGUMENT : KH_ERROR_NOT_FOUND,
                    "There is no log of boot %d: 0 is the current boot, -1 the one before", boot);
        return -1;
    }
    name = g_strdup_printf("boot-%u", number);
    return kh_instance_dir_open(folder, name, error);
}

KhLogFiles *
kh_log_files_open(int folder, const KhLogRequest *request, GError **error)
{
    int boot = open_boot_folder(folder, request->boot, error);
    KhLogFiles *self;

    if (boot < 0)
        return NULL;
    self = g_new0(KhLogFiles, 1);
    self->folder = boot;
    self->name = g_strdup(request->name);
    self->uid = request->uid;
    self->size_max = (off_t)request->file_size + LINE_MAX_BYTES;
    self->files_max = request->files_max;
    self->files = open_row(self);
    if (request->lines > 0)
        skip_to_last(self, request->lines);
    return self;
}

int
kh_log_files_folder(const KhLogFiles *self)
{
    return self->folder;
}

gsize
kh_log_files_read(KhLogFiles *self, char *buffer, gsize size)
{
    while (self->files->len > 0) {
        File *file = file_at(self->files, 0);
        gsize left = (gsize)MAX(file->end - file->at, 0);
        ssize_t n = left == 0 ? 0 : pread(file->fd, buffer, MIN(left, size), file->at);

        if (n > 0) {
            file->at += n;
            return (gsize)n;
        }
        if (self->files->len == 1)
            break;
        drop_first(self->files, 1);
    }
    return 0;
}

/* Whether what was read to its end has grown. */
static gboolean
has_grown(const KhLogFiles *self, File *file)
{
    look_at_end(self, file);
    return file->end > file->at;
}

/*
 * The last one is held for this: what follows it in the row came after it, all of it where
 * it is not in the row any more (rotated away, or moved with its boot). Once there is another
 * nothing is written to it, so its end is looked at after the row was opened.
 */
static guint
count_known(const KhLogFiles *self, GArray *row)
{
    File *held = file_at(self->files, self->files->len - 1);
    guint known = 0;

    for (guint i = 0; i < row->len; i++)
        if (same_file(file_at(row, i)->fd, held->fd))
            known = i + 1;
    look_at_end(self, held);
    return known;
}

void
kh_log_files_look(KhLogFiles *self)
{
    g_autoptr(GArray) row = NULL;

    if (self->files->len > 0 && has_grown(self, file_at(self->files, self->files->len - 1)))
        return;
    row = open_row(self);
    if (self->files->len > 0)
        drop_first(row, count_known(self, row));
    g_array_append_vals(self->files, row->data, row->len);
}
