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

/* How much of a folder is looked at, and how many boots are told apart at once. */
#define ENTRIES_MAX 100000
#define NUMBERS_MAX 256
/* A number beyond this was not given by us; the count could not go on from it. */
#define NUMBER_MAX 999999999UL
#define BOOT_NAME_SIZE 32

typedef struct {
    unsigned long values[NUMBERS_MAX]; /* ascending once sorted */
    size_t count;
} Boots;

typedef void (*EntryVisitor)(int folder, const char *name, void *data);

static bool
visit(int folder, EntryVisitor visitor, void *data)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (entries == NULL) {
        if (copy >= 0)
            close(copy);
        return false;
    }
    const struct dirent *entry;
    for (unsigned n = 0; n < ENTRIES_MAX && (entry = readdir(entries)) != NULL; n++)
        visitor(folder, entry->d_name, data);
    closedir(entries);
    return true;
}

static void
boot_name(unsigned long number, char name[BOOT_NAME_SIZE])
{
    snprintf(name, BOOT_NAME_SIZE, "boot-%lu", number);
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

static bool
is_log_name(const char *name)
{
    static const char *const logs[] = {KH_FILE_SERIAL_LOG, KH_FILE_QEMU_LOG};
    for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
        size_t length = strlen(logs[i]);
        if (strncmp(name, logs[i], length) != 0)
            continue;
        if (name[length] == '\0' || (name[length] == '.' && parse_number(name + length + 1) > 0))
            return true;
    }
    return false;
}

static void
note_boot(int folder, const char *name, void *data)
{
    Boots *boots = data;
    if (strncmp(name, "boot-", 5) != 0)
        return;
    unsigned long number = parse_number(name + 5);
    if (number == 0 || number == NUMBER_MAX || boots->count == NUMBERS_MAX)
        kh_shim_remove(folder, name);
    else
        boots->values[boots->count++] = number;
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
    boots->count = 0;
    if (!visit(folder, note_boot, boots))
        return kh_shim_fail_errno(error, "cannot list the instance's folder");
    qsort(boots->values, boots->count, sizeof boots->values[0], compare_numbers);
    return true;
}

static void
note_log(int folder, const char *name, void *data)
{
    bool *found = data;
    *found = *found || is_log_name(name);
}

static void
move_log(int folder, const char *name, void *data)
{
    const int *target = data;
    struct stat status;
    if (!is_log_name(name))
        return;
    if (*target < 0 || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !kh_shim_is_own_file(&status) || !kh_shim_move(folder, name, *target, name))
        kh_shim_remove(folder, name);
}

/* -1 with errno 0 when the disk is full, for then the old logs have to go. */
static int
create_boot(int folder, unsigned long number, KhShimError *error)
{
    char name[BOOT_NAME_SIZE];
    boot_name(number, name);
    bool full = mkdirat(folder, name, 0700) < 0 && (errno == ENOSPC || errno == EDQUOT);
    int target = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0 && !full)
        kh_shim_fail_errno(error, "cannot make the folder %s for the last boot's logs", name);
    errno = full ? 0 : errno;
    return target;
}

static void
add_size(int folder, const char *name, void *data)
{
    uint64_t *total = data;
    struct stat status;
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode))
        *total += status.st_size;
}

static uint64_t
boot_size(int folder, unsigned long number)
{
    char name[BOOT_NAME_SIZE];
    uint64_t total = 0;
    boot_name(number, name);
    int boot = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (boot < 0)
        return 0;
    visit(boot, add_size, &total);
    close(boot);
    return total;
}

static void
remove_boot(int folder, unsigned long number)
{
    char name[BOOT_NAME_SIZE];
    boot_name(number, name);
    kh_shim_remove(folder, name);
}

/* Of the newest boot the last files are what is wanted after a crash. */
static void
shrink_boot(int folder, unsigned long number, uint64_t bound)
{
    static const char *const logs[] = {KH_FILE_QEMU_LOG, KH_FILE_SERIAL_LOG};
    char name[BOOT_NAME_SIZE];
    if (boot_size(folder, number) <= bound)
        return;
    boot_name(number, name);
    int boot = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (unsigned file = 99; boot >= 0 && file > 0; file--)
        for (size_t i = 0; i < sizeof logs / sizeof logs[0]; i++) {
            char old[BOOT_NAME_SIZE];
            snprintf(old, sizeof old, "%s.%u", logs[i], file);
            if (boot_size(folder, number) > bound)
                kh_shim_remove(boot, old);
        }
    if (boot >= 0)
        close(boot);
    if (boot_size(folder, number) > bound)
        remove_boot(folder, number);
}

/* From the newest back: what comes after the fifth, or beyond the bytes, goes. */
static void
prune(int folder, const Boots *boots)
{
    uint64_t total = 0;
    for (size_t age = 0; age < boots->count; age++) {
        unsigned long number = boots->values[boots->count - 1 - age];
        if (age == 0)
            shrink_boot(folder, number, KH_SHIM_BOOTS_BYTES);
        if (age < KH_SHIM_BOOTS_MAX && total <= KH_SHIM_BOOTS_BYTES)
            total += boot_size(folder, number);
        if (age >= KH_SHIM_BOOTS_MAX || total > KH_SHIM_BOOTS_BYTES)
            remove_boot(folder, number);
    }
}

static bool
archive_logs(int folder, unsigned long number, KhShimError *error)
{
    int target = create_boot(folder, number, error);
    if (target < 0 && errno != 0)
        return false;
    /* A listing may miss what is moved meanwhile, so go on until none is seen. */
    bool found = true;
    for (unsigned round = 0; found && round < 16; round++) {
        visit(folder, move_log, &target);
        found = false;
        visit(folder, note_log, &found);
    }
    if (target >= 0)
        close(target);
    return !found || kh_shim_fail(error, "cannot move the logs of the last boot away");
}

bool
kh_shim_boots_archive(int folder, KhShimError *error)
{
    Boots boots;
    bool found = false;
    if (!visit(folder, note_log, &found))
        return kh_shim_fail_errno(error, "cannot list the instance's folder");
    if (!find_boots(folder, &boots, error))
        return false;
    unsigned long last = boots.count > 0 ? boots.values[boots.count - 1] : 0;
    if (found && !archive_logs(folder, last + 1, error))
        return false;
    if (!find_boots(folder, &boots, error))
        return false;
    prune(folder, &boots);
    return true;
}
