/* SPDX-License-Identifier: MIT */
/*
 * The checked configuration of an instance: what CreateInstance was given, with every
 * default filled in. Immutable once made. Made by the manager and the store; read by the
 * instance, the QEMU command line and the bus object.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
    guint32 vcpus;
    guint64 memory_bytes;
    guint64 storage_bytes;
    guint16 rpc_port; /* 0 in a request: the lowest free one */
    const char *rpc_address;
    gboolean dev;
    const char *chain_id; /* "" for Katana's default */
    guint64 block_time;   /* milliseconds, 0 = a block per transaction */
    guint16 accounts;     /* 0 = Katana's default */
    gboolean no_fee;
    const char **katana_args; /* may hold private keys: never logged, no property */
    const char *accelerator;  /* "auto", "kvm" or "tcg" */
    gboolean outbound;
    const char *image; /* id of the boot components; "default" in a request: today's */
    gboolean start_at_boot;
    const char *restart_policy; /* "no", "on-failure" or "always" */
    guint32 cpu_quota;          /* percent of one processor, 0 = no limit */
    gboolean tee;               /* confidential */
    const char *vcpu_type;      /* of a confidential machine: QEMU's name, which is measured */
    gboolean sealed;            /* its disk opens for the measured machine only */
    const char *description;    /* free text of the owner */
    guint labels_bytes;         /* of labels and description, in a message of the bus */
    GVariant *dict;             /* a{sv}: every key; owns the strings above */
} KhConfig;

/* Bounds that the host sets. */
typedef struct {
    guint64 memory_max;  /* the host's RAM in bytes */
    guint64 storage_max; /* what the state's file system can hold, in bytes */
} KhConfigLimits;

/*
 * Checks @dict (a{sv}) and fills in defaults. KH_ERROR_INVALID_ARGUMENT names the key,
 * what was found and what is allowed. Transfer full.
 */
KhConfig *kh_config_new(GVariant *dict, const KhConfigLimits *limits, GError **error);

#define KH_CONFIG_IMAGE_DEFAULT "default"
#define KH_CONFIG_VCPU_TYPE_DEFAULT "EPYC-v4"

/* @config with another value (floating: taken) of one key. Transfer full. */
KhConfig *kh_config_with(const KhConfig *config, const char *key, GVariant *value);

/* All keys of @config with those of @changes (a{sv}, unchecked) over them. Transfer full. */
GVariant *kh_config_merge(const KhConfig *config, GVariant *changes);

/* @config with the values of @wanted for the keys that a running machine takes. Transfer full. */
KhConfig *kh_config_with_live_keys(const KhConfig *config, const KhConfig *wanted);

/* The keys in which the two differ, sorted as the list of keys. Transfer full. */
char **kh_config_differences(const KhConfig *a, const KhConfig *b);

/* Reads what kh_config_to_text() wrote; checks types, not the host's limits. */
KhConfig *kh_config_from_text(const char *text, GError **error);

/* All keys as GVariant text, for the database. Transfer full. */
char *kh_config_to_text(const KhConfig *config);

/* It never changes: who needs it for longer than a call, or in a thread, has a reference. */
KhConfig *kh_config_ref(const KhConfig *config);
void kh_config_unref(KhConfig *config);

/*
 * Whether the a{sv} @dict asks for what reaches beyond this host's loopback: another
 * address, or outbound connections. Used by the gate before any other check, so it takes
 * any dictionary; an ill-typed key does not count, it is refused later.
 */
gboolean kh_config_exposes(GVariant *dict);

/*
 * Whether the a{sv} @dict names a key that says where an instance is reached, or what answers
 * there; whichever its value: to compare it would tell a caller what he may not read.
 */
gboolean kh_config_moves_endpoint(GVariant *dict);

/*
 * @text with every value of a Katana argument in it replaced: those of 8 bytes or more,
 * alone or after a "=". For what comes from a guest and is shown to all. Transfer full.
 */
char *kh_config_redact(const KhConfig *config, const char *text);

/* Katana's command line in the guest, one argument per element. Transfer full. */
char **kh_config_guest_args(const KhConfig *config);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhConfig, kh_config_unref)

G_END_DECLS
