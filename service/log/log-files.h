/* SPDX-License-Identifier: MIT */
/*
 * The files of one log: serial.log.N … serial.log.1, serial.log, oldest first. They belong
 * to the machine's user, who may put there what he likes: links and the like are left out,
 * and of whatever is longer than the service's own setting only the end is read, so that
 * neither reading nor looking for lines takes longer than that of an honest log. Used by
 * log streams, in a thread while they are opened.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    const char *name;  /* of the current file: "serial.log" or "qemu.log" */
    gint64 uid;        /* its owner; -1: the service's own */
    guint64 file_size; /* after which a file is rotated */
    guint files_max;   /* of them at most */
    guint lines;       /* the last so many; 0 = all */
    gboolean follow;
    int boot; /* 0 = current, -1 = the one before */
} KhLogRequest;

typedef struct _KhLogFiles KhLogFiles;

/*
 * Opens those of @request in @folder (a descriptor, not taken), and skips what comes before
 * the lines that are asked for. KH_ERROR_NOT_FOUND for a boot that is not there,
 * KH_ERROR_INVALID_ARGUMENT for one in the future. May take long: call it in a thread.
 */
KhLogFiles *kh_log_files_open(int folder, const KhLogRequest *request, GError **error);

void kh_log_files_free(KhLogFiles *files);

/* The folder that they lie in. */
int kh_log_files_folder(const KhLogFiles *files);

/* The next bytes, at most @size; 0 at the end of what was there when it was last looked. */
gsize kh_log_files_read(KhLogFiles *files, char *buffer, gsize size);

/*
 * Looks once for what came after that: what the last file has grown by, and the files that
 * now follow it by inode, whatever their names were.
 */
void kh_log_files_look(KhLogFiles *files);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhLogFiles, kh_log_files_free)

G_END_DECLS
