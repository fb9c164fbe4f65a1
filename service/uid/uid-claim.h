/* SPDX-License-Identifier: MIT */
/*
 * The files by which services of one host tell each other whose a uid is: each is named after
 * its uid and holds the path of a state folder. Used by the pool of uids alone.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    int folder_fd;     /* of the claims; shared by all services of the host */
    const char *owner; /* the path of this service's state folder, without links */
    int owner_fd;      /* and the folder itself, by which it is known under any name */
} KhUidClaims;

typedef enum {
    KH_UID_CLAIM_NONE,
    KH_UID_CLAIM_OURS,
    KH_UID_CLAIM_ABANDONED, /* of a folder that is not there: moved, removed, or hidden from us */
    KH_UID_CLAIM_FOREIGN,   /* of another folder, or it could not be told of which */
} KhUidClaim;

/* @path, unless NULL, gets what it says, for people; NULL where that is no path. Transfer full. */
KhUidClaim kh_uid_claim_look(const KhUidClaims *claims, const char *name, char **path);

/* Makes the claim @name, whole at once; FALSE when there is one, or it cannot be made. */
gboolean kh_uid_claim_make(const KhUidClaims *claims, const char *name);

/*
 * Makes the abandoned claim @name this service's. FALSE when another service has been faster.
 * Whoever calls must know that the uid is not used by another.
 */
gboolean kh_uid_claim_take_over(const KhUidClaims *claims, const char *name);

/* Removes it if it is ours. */
void kh_uid_claim_drop(const KhUidClaims *claims, const char *name);

/* Whether @name is what a service that was killed left in making a claim. */
gboolean kh_uid_claim_is_unfinished(const char *name);

G_END_DECLS
