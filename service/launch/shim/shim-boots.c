/* SPDX-License-Identifier: MIT */
/* The logs of earlier boots. The folder's contents are hostile: see shim-folder.h. */
#include "shim-boots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim-folder.h"
#include "shim-options.h"

/* How much of a folder is looked at, and how much of it goes in one start. */
#define ENTRIES_MAX 100000
#define NUMBERS_MAX 256
#define STRANGE_MAX 256
/* A number beyond this was not given by us; the count could not go on from it. */
#define NUMBER_MAX 999999999UL
#define NAME_SIZE 32

/* The highest there are. */
typedef struct {
    unsigned long values[NUMBERS_MAX]; /* ascending once sorted */
    size_t count;
    unsigned strange; /* names that were none of ours */
} Boots;

static const char *const logs[] = {KH_FILE_QEMU_LOG, KH_FILE_SERIAL_LOG};

/* The names that a boot's logs can have, the newest first. */
#define LOG_NAMES (2 * KH_SHIM_LOG_FILES_MAX)

static void
log_name(unsigned place, char name[NAME_SIZE])
{
    unsigned number = place / 2;
    if (number == 0)
        snprintf(name, NAME_SIZE, "%s", logs[place % 2]);
    else
        snprintf(name, NAME_SIZE, "%s.%u", logs[place % 2], number);
}

static void
boot_name(unsigned long number, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "boot-%lu", number);
}

/* Decimal digits without a leading zero, at most 9; 0 for anything else. */
static unsigned long
parse_number(const char *text)
{
    if (text[0] < '1' || text[0] > '9' || strlen(text) > 9 ||
        strspn(text, "0123456789") != strlen(text))
        return 0;
    return strtoul(text, NULL, 10);
}

static void
note_number(Boots *boots, unsigned long number)
{
    size_t lowest = 0;
    if (boots->count < NUMBERS_MAX) {
        boots->values[boots->count++] = number;
        return;
    }
    for (size_t i = 1; i < boots->count; i++)
        if (boots->values[i] < boots->values[lowest])
            lowest = i;
    if (boots->values[lowest] < number)
        boots->values[lowest] = number;
}

static void
note_boot(int folder, const char *name, Boots *boots)
{
    if (strncmp(name, "boot-", 5) != 0)
        return;
    unsigned long number = parse_number(name + 5);
    if (number != 0 && number != NUMBER_MAX)
        note_number(boots, number);
    else if (boots->strange++ < STRANGE_MAX)
        kh_shim_remove(folder, name);
}

static int
compare_numbers(const void *a, const void *b)
{
    unsigned long left = *(const unsigned long *)a, right = *(const unsigned long *)b;
    return (left > right) - (left < right);
}

static bool
find_boots(int folder, Boots *boots, KhShimError *error)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    *boots = (Boots){0};
    if (entries == NULL) {
        kh_shim_fail_errno(error, "cannot list the instance's folder");
        if (copy >= 0)
            close(copy);
        return false;
    }
    const struct dirent *entry;
    for (unsigned n = 0; n < ENTRIES_MAX && (entry = readdir(entries)) != NULL; n++)
        note_boot(folder, entry->d_name, boots);
    closedir(entries);
    qsort(boots->values, boots->count, sizeof boots->values[0], compare_numbers);
    return true;
}

/* A folder may have lost its mode's bits, and what has its name may be none. -1 with errno. */
static int
open_boot(int folder, unsigned long number)
{
    char name[NAME_SIZE];
    boot_name(number, name);
    int boot = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (boot >= 0 && fchmod(boot, 0700) < 0) {
        close(boot);
        boot = -1;
    }
    return boot;
}

/* `*boot` is -1 where the disk is full, for then the old logs have to go. */
static bool
create_boot(int folder, unsigned long number, int *boot, KhShimError *error)
{
    char name[NAME_SIZE];
    boot_name(number, name);
    /* In a folder full of names the listing may have missed it. */
    *boot = open_boot(folder, number);
    if (*boot >= 0)
        return true;
    if (!kh_shim_remove(folder, name))
        return kh_shim_fail_in_the_way(folder, name, error);
    bool full = mkdirat(folder, name, 0700) < 0 && (errno == ENOSPC || errno == EDQUOT);
    *boot = full ? -1 : open_boot(folder, number);
    return full || *boot >= 0 ||
           kh_shim_fail_errno(error, "cannot make the folder %s for the last boot's logs", name);
}

static void
remove_boot(int folder, unsigned long number)
{
    char name[NAME_SIZE];
    boot_name(number, name);
    kh_shim_remove(folder, name);
}

/* What the log takes of the disk at most; its sum may be beyond any disk. */
static uint64_t
log_size(int boot, const char *name)
{
    struct stat status;
    bool counts = fstatat(boot, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                  S_ISREG(status.st_mode) && status.st_size > 0;
    return !counts                                          ? 0
           : (uint64_t)status.st_size > KH_SHIM_BOOTS_BYTES ? KH_SHIM_BOOTS_BYTES + 1
                                                            : (uint64_t)status.st_size;
}

static uint64_t
boot_size(int boot)
{
    char name[NAME_SIZE];
    uint64_t total = 0;
    for (unsigned place = 0; place < LOG_NAMES; place++) {
        log_name(place, name);
        total += log_size(boot, name);
    }
    return total;
}

/* Of the newest boot the last files are what is wanted after a crash. */
static uint64_t
shrink_boot(int boot, uint64_t size)
{
    char name[NAME_SIZE];
    for (unsigned place = LOG_NAMES - 1; size > KH_SHIM_BOOTS_BYTES && place > 1; place--) {
        log_name(place, name);
        uint64_t freed = log_size(boot, name);
        if (freed > 0 && kh_shim_remove(boot, name))
            size -= freed;
    }
    return size;
}

/* From the newest back: what comes after the fifth, or beyond the bytes, goes. */
static void
prune(int folder, const Boots *boots)
{
    uint64_t total = 0;
    for (size_t age = 0; age < boots->count; age++) {
        unsigned long number = boots->values[boots->count - 1 - age];
        int boot = age < KH_SHIM_BOOTS_MAX ? open_boot(folder, number) : -1;
        uint64_t size = boot < 0 ? 0 : boot_size(boot);
        total += age == 0 && boot >= 0 ? shrink_boot(boot, size) : size;
        if (boot < 0 || total > KH_SHIM_BOOTS_BYTES)
            remove_boot(folder, number);
        if (boot >= 0)
            close(boot);
    }
}

static bool
holds_logs(int folder)
{
    char name[NAME_SIZE];
    struct stat status;
    for (unsigned place = 0; place < LOG_NAMES; place++) {
        log_name(place, name);
        if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
    }
    return false;
}

static bool
move_log(int folder, const char *name, int boot, KhShimError *error)
{
    struct stat status = {0};
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return true;
    if (boot >= 0 && kh_shim_is_own_file(&status) && kh_shim_move(folder, name, boot, name))
        return true;
    return kh_shim_remove(folder, name) || kh_shim_fail_in_the_way(folder, name, error);
}

static bool
archive_logs(int folder, unsigned long number, KhShimError *error)
{
    char name[NAME_SIZE];
    int boot;
    if (!create_boot(folder, number, &boot, error))
        return false;
    bool moved = true;
    for (unsigned place = 0; moved && place < LOG_NAMES; place++) {
        log_name(place, name);
        moved = move_log(folder, name, boot, error);
    }
    if (boot >= 0)
        close(boot);
    return moved;
}

bool
kh_shim_boots_archive(int folder, KhShimError *error)
{
    Boots boots;
    if (!find_boots(folder, &boots, error))
        return false;
    unsigned long last = boots.count > 0 ? boots.values[boots.count - 1] : 0;
    if (holds_logs(folder) && !archive_logs(folder, last + 1, error))
        return false;
    if (!find_boots(folder, &boots, error))
        return false;
    prune(folder, &boots);
    return true;
}
