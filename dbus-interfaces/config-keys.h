/* SPDX-License-Identifier: MIT */
/*
 * The one list of configuration keys: what CreateInstance accepts, of which type, with
 * which default, and as which option of "create". The service checks against it, the CLI
 * builds its options from it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * KhConfigForm:
 * @KH_CONFIG_NUMBER: a decimal number between min and max
 * @KH_CONFIG_SIZE: bytes, written as in kh_size_parse()
 * @KH_CONFIG_TEXT: a string
 * @KH_CONFIG_FLAG: given or not
 * @KH_CONFIG_LABELS: K=V, may be given several times
 * @KH_CONFIG_LIST: strings after "--" or from a file; no option of its own
 *
 * How a key's value is written on a command line.
 */
typedef enum {
    KH_CONFIG_NUMBER,
    KH_CONFIG_SIZE,
    KH_CONFIG_TEXT,
    KH_CONFIG_FLAG,
    KH_CONFIG_LABELS,
    KH_CONFIG_LIST,
} KhConfigForm;

typedef struct {
    const char *key;      /* on the bus and in the database */
    const char *type;     /* GVariant type string */
    const char *fallback; /* default, as GVariant text of that type */
    KhConfigForm form;
    guint64 min; /* KH_CONFIG_NUMBER and KH_CONFIG_SIZE: bounds on the bus, inclusive */
    guint64 max;
    const char *option;      /* long option of the CLI; NULL for none */
    const char *placeholder; /* "SIZE" in its help; NULL for a flag */
    const char *help;
} KhConfigKey;

/* All keys, ended by one whose key is NULL. Static. */
const KhConfigKey *kh_config_keys(void);

/* How many there are. */
guint kh_config_n_keys(void);

/* The key called @key; NULL when there is none. Static. */
const KhConfigKey *kh_config_key_find(const char *key);

/* Whether a running machine takes a change of @key at once; the others at its next start. */
gboolean kh_config_key_is_live(const char *key);

/* Whether @key says where an instance is reached, or what answers there. */
gboolean kh_config_key_is_endpoint(const char *key);

/* Whether the value of @key is only for those with the action "read-configuration". */
gboolean kh_config_key_is_secret(const char *key);

/*
 * The known key nearest to @key, for an error's hint: of a misspelt one, of an option of
 * "create" and of a property's name. NULL when none is near. Static.
 */
const char *kh_config_key_nearest(const char *key);

G_END_DECLS
