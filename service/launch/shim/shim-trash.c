/* SPDX-License-Identifier: MIT */
/* Folders that lay in the way; see the header. */
#include "shim-trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "state/trash-name.h"

/* Deeper folders are lifted to the top and removed from there. */
#define DEPTH_MAX 16
#define NAMES_MAX 200000
#define SWEEP_MS 2000

typedef struct {
    int top;
    unsigned left;    /* names that may still be looked at */
    unsigned removed; /* or lifted, in one pass */
    int64_t deadline;
} Sweep;

static int64_t
now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What has that name by chance is of the machine's making: a file goes, a full folder refuses. */
bool
kh_shim_set_aside(int folder, const char *name, int top)
{
    char target[sizeof KH_TRASH_PREFIX + 16];
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return false;
    snprintf(target, sizeof target, KH_TRASH_PREFIX "%016" PRIx64, number);
    return renameat(folder, name, top, target) == 0;
}

/* A folder may have lost its mode's bits; giving them back must not follow a link either. */
static int
open_removable(int folder, const char *name)
{
    char path[40];
    int place = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (place < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    int child = chmod(path, 0700) < 0
                    ? -1
                    : openat(place, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(place);
    return child;
}

static void sweep_entry(Sweep *sweep, int folder, const char *name, unsigned depth);

static void
sweep_folder(Sweep *sweep, int folder, const char *prefix, unsigned depth)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (entries == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    const struct dirent *entry;
    while (sweep->left > 0 && now_ms() < sweep->deadline && (entry = readdir(entries)) != NULL) {
        sweep->left--;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            sweep_entry(sweep, folder, entry->d_name, depth);
    }
    closedir(entries);
}

/* What can be opened can be moved, too: that needs the same bits of its mode. */
static void
sweep_child(Sweep *sweep, int folder, const char *name, unsigned depth)
{
    int child = open_removable(folder, name);
    if (child < 0)
        return;
    if (depth == DEPTH_MAX) {
        sweep->removed += kh_shim_set_aside(folder, name, sweep->top);
    } else {
        sweep_folder(sweep, child, "", depth + 1);
        sweep->removed += unlinkat(folder, name, AT_REMOVEDIR) == 0;
    }
    close(child);
}

static void
sweep_entry(Sweep *sweep, int folder, const char *name, unsigned depth)
{
    if (unlinkat(folder, name, 0) == 0)
        sweep->removed++;
    else if (errno == EISDIR || errno == EPERM)
        sweep_child(sweep, folder, name, depth);
}

static Sweep
sweep_of(int folder)
{
    return (Sweep){.top = folder, .left = NAMES_MAX, .deadline = now_ms() + SWEEP_MS};
}

bool
kh_shim_clear(int folder, const char *name)
{
    Sweep sweep = sweep_of(folder);
    sweep_child(&sweep, folder, name, 0);
    return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

void
kh_shim_sweep(int folder)
{
    Sweep sweep = sweep_of(folder);
    /* What was lifted turns up in the next pass; what cannot be removed ends it. */
    do {
        sweep.removed = 0;
        sweep_folder(&sweep, folder, KH_TRASH_PREFIX, 0);
    } while (sweep.removed > 0);
}
