/* SPDX-License-Identifier: MIT */
/* Whose a uid is; see uid-claim.h. */
#include "uid-claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auto-fd.h"
#include "write-all.h"

/* One byte more than a path may have: what is longer is no path to open(2) either. */
#define PATH_MAX_READ 4096
#define UNFINISHED ".new-"

static gboolean
is_owner(const KhUidClaims *claims, int fd)
{
    struct stat ours, theirs;

    return fstat(claims->owner_fd, &ours) == 0 && fstat(fd, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* An empty claim was left by an older program that was killed in making it. */
static KhUidClaim
look_at_path(const KhUidClaims *claims, const char *path)
{
    g_auto(KhFd) fd = -1;

    if (path[0] == '\0')
        return KH_UID_CLAIM_ABANDONED;
    if (!g_path_is_absolute(path))
        return KH_UID_CLAIM_FOREIGN;
    fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? KH_UID_CLAIM_ABANDONED : KH_UID_CLAIM_FOREIGN;
    return is_owner(claims, fd) ? KH_UID_CLAIM_OURS : KH_UID_CLAIM_FOREIGN;
}

KhUidClaim
kh_uid_claim_look(const KhUidClaims *claims, const char *name, char **path)
{
    char text[PATH_MAX_READ + 1];
    g_auto(KhFd) fd =
        openat(claims->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n;

    if (path != NULL)
        *path = NULL;
    if (fd < 0)
        return errno == ENOENT ? KH_UID_CLAIM_NONE : KH_UID_CLAIM_FOREIGN;
    n = read(fd, text, PATH_MAX_READ);
    if (n < 0)
        return KH_UID_CLAIM_FOREIGN;
    text[n] = '\0';
    if (path != NULL && g_path_is_absolute(text))
        *path = g_strescape(text, NULL);
    return look_at_path(claims, text);
}

/* A new file with this service's path in it; transfer full, NULL when it cannot be made. */
static char *
write_new(const KhUidClaims *claims)
{
    g_autofree char *name = g_strdup_printf(UNFINISHED "%08x%08x", g_random_int(), g_random_int());
    g_auto(KhFd) fd =
        openat(claims->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    gsize length = strlen(claims->owner);

    if (fd < 0)
        return NULL;
    if (kh_write_all(fd, claims->owner, length) == length)
        return g_steal_pointer(&name);
    unlinkat(claims->folder_fd, name, 0);
    return NULL;
}

gboolean
kh_uid_claim_make(const KhUidClaims *claims, const char *name)
{
    g_autofree char *new = write_new(claims);
    gboolean made = new != NULL &&linkat(claims->folder_fd, new, claims->folder_fd, name, 0) == 0;

    if (new != NULL)
        unlinkat(claims->folder_fd, new, 0);
    return made;
}

/* Two services may find the same claim abandoned: they look and write one after another. */
gboolean
kh_uid_claim_take_over(const KhUidClaims *claims, const char *name)
{
    g_autofree char *new = NULL;
    gboolean taken = FALSE;

    if (flock(claims->folder_fd, LOCK_EX | LOCK_NB) != 0)
        return FALSE;
    if (kh_uid_claim_look(claims, name, NULL) == KH_UID_CLAIM_ABANDONED)
        new = write_new(claims);
    if (new != NULL) {
        taken = renameat(claims->folder_fd, new, claims->folder_fd, name) == 0;
        if (!taken)
            unlinkat(claims->folder_fd, new, 0);
    }
    flock(claims->folder_fd, LOCK_UN);
    return taken;
}

void
kh_uid_claim_drop(const KhUidClaims *claims, const char *name)
{
    if (kh_uid_claim_look(claims, name, NULL) == KH_UID_CLAIM_OURS)
        unlinkat(claims->folder_fd, name, 0);
}

gboolean
kh_uid_claim_is_unfinished(const char *name)
{
    return g_str_has_prefix(name, UNFINISHED);
}
