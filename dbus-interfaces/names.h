/* SPDX-License-Identifier: MIT */
/*
 * Names that service, CLI and tests share: bus name, object paths, states, polkit
 * actions, and the rule for instance names. Everything here is part of the contract.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define KH_BUS_NAME "org.katana.Hypervisor"
#define KH_PATH_ROOT "/org/katana/Hypervisor"
#define KH_PATH_MANAGER KH_PATH_ROOT "/Manager"
#define KH_PATH_INSTANCES KH_PATH_ROOT "/instances"
#define KH_PATH_IMAGES KH_PATH_ROOT "/images"
#define KH_PATH_JOBS KH_PATH_ROOT "/jobs"
#define KH_INTERFACE_MANAGER "org.katana.Hypervisor.Manager"
#define KH_INTERFACE_INSTANCE "org.katana.Hypervisor.Instance"
#define KH_INTERFACE_IMAGE "org.katana.Hypervisor.Image"
#define KH_INTERFACE_TEE "org.katana.Hypervisor.Tee"
#define KH_INTERFACE_JOB "org.katana.Hypervisor.Job"
#define KH_ACTION_PREFIX "org.katana.Hypervisor."

#define KH_NAME_MAX 63

/* What an instance can be. The bus and the database carry kh_state_name(). */
typedef enum {
    KH_STATE_CREATED,
    KH_STATE_STARTING,
    KH_STATE_RUNNING,
    KH_STATE_PAUSED,
    KH_STATE_STOPPING,
    KH_STATE_STOPPED,
    KH_STATE_FAILED,
    KH_STATE_DELETING,
} KhState;

#define KH_N_STATES (KH_STATE_DELETING + 1)

/* "created", "starting" …; static. */
const char *kh_state_name(KhState state);

/* The state called @name; FALSE (and @state untouched) when there is none. */
gboolean kh_state_from_name(const char *name, KhState *state);

/*
 * Checks an instance name: [a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?, no two dots in a row.
 * KH_ERROR_INVALID_ARGUMENT says what is wrong with it.
 */
gboolean kh_name_check(const char *name, GError **error);

/* The object path of instance @id (lower-case hex digits and '-'). Transfer full. */
char *kh_path_of_instance(const char *id);

/* The object path of the image with the SHA-256 @id; "/" for NULL or "". Transfer full. */
char *kh_path_of_image(const char *id);

/* The object path of the job @number. Transfer full. */
char *kh_path_of_job(guint number);

/* Whether @c leads a terminal astray: controls but tab, what is not seen or reorders text. */
gboolean kh_text_is_harmful(gunichar c);

/*
 * @text made harmless for a terminal or the journal: valid UTF-8, harmful characters
 * replaced by U+FFFD, at most @max bytes. Transfer full.
 */
char *kh_text_sanitize(const char *text, gsize max);

/*
 * How many letters must be put in, left out, replaced or, of two neighbours, exchanged to make
 * @b of @a; G_MAXUINT for words of more than 64 bytes.
 */
guint kh_word_distance(const char *a, const char *b);

/*
 * The known word nearest to @word, at most a third of @word's letters away; NULL when none is.
 * Not owned.
 */
const char *kh_nearest_word(const char *word, const char *const *known);

G_END_DECLS
