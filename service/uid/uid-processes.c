/* SPDX-License-Identifier: MIT */
/* Whether anything lives under a uid; see uid-processes.h. */
#include "uid-processes.h"

#include "auto-fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What is looked for stands in the first lines (proc(5)); a name has 15 bytes at most. */
#define STATUS_MAX 4096

/* What the table says of a uid; only a zombie has it, otherwise. */
#define ALIVE GINT_TO_POINTER(1)
#define ENDED GINT_TO_POINTER(2)

/*
 * FALSE when it could not be read. A process that has gone meanwhile is read as "", and so is
 * one that is hidden: that is left to getpriority(2).
 */
static gboolean
read_status(int proc, const char *pid, char status[STATUS_MAX + 1])
{
    char path[32];
    g_auto(KhFd) fd = -1;
    ssize_t n;

    g_snprintf(path, sizeof path, "%.20s/status", pid);
    fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, status, STATUS_MAX);
    status[MAX(n, 0)] = '\0';
    return n >= 0 || errno == ENOENT || errno == ESRCH || errno == EACCES || errno == EPERM;
}

/* A thread may outlive the first one of its process, which then is a zombie that lives. */
static gboolean
is_zombie(const char *status)
{
    const char *state = strstr(status, "\nState:\tZ");
    const char *threads = strstr(status, "\nThreads:\t");

    return state != NULL && threads != NULL && g_str_has_prefix(threads, "\nThreads:\t1\n");
}

static void
add_uids_of(GHashTable *uids, const char *status)
{
    const char *line = strstr(status, "\nUid:");
    gpointer value = is_zombie(status) ? ENDED : ALIVE;
    guint uid[4];

    if (line == NULL || sscanf(line, "\nUid: %u %u %u %u", uid, uid + 1, uid + 2, uid + 3) != 4)
        return;
    for (guint i = 0; i < 4; i++)
        if (g_hash_table_lookup(uids, GUINT_TO_POINTER(uid[i])) != ALIVE)
            g_hash_table_insert(uids, GUINT_TO_POINTER(uid[i]), value);
}

static gboolean
add_all(GHashTable *uids, DIR *proc)
{
    struct dirent *entry;

    for (errno = 0; (entry = readdir(proc)) != NULL; errno = 0) {
        char status[STATUS_MAX + 1];

        if (!g_ascii_isdigit(entry->d_name[0]))
            continue;
        if (!read_status(dirfd(proc), entry->d_name, status))
            return FALSE;
        add_uids_of(uids, status);
    }
    return errno == 0;
}

GHashTable *
kh_uids_of_processes(void)
{
    g_autoptr(GHashTable) uids = g_hash_table_new(NULL, NULL);
    DIR *proc = opendir("/proc");
    gboolean known;

    if (proc == NULL)
        return NULL;
    known = add_all(uids, proc);
    closedir(proc);
    /* Without this process's own uid it was no /proc. */
    return known && g_hash_table_contains(uids, GUINT_TO_POINTER(getuid())) ? g_steal_pointer(&uids)
                                                                            : NULL;
}

gboolean
kh_uids_include(GHashTable *uids, guint32 uid)
{
    gpointer found = uids == NULL ? ALIVE : g_hash_table_lookup(uids, GUINT_TO_POINTER(uid));

    if (found != NULL)
        return found == ALIVE;
    errno = 0;
    return getpriority(PRIO_USER, uid) != -1 || errno != ESRCH;
}

gboolean
kh_uid_has_processes(guint32 uid)
{
    g_autoptr(GHashTable) uids = kh_uids_of_processes();

    return kh_uids_include(uids, uid);
}
