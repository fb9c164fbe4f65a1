/* SPDX-License-Identifier: MIT */
/*
 * The configuration of an instance: what CreateInstance was given, with every default filled
 * in. Immutable once made. Made by config-checks.h, of what was checked there; read by the
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

#define KH_CONFIG_IMAGE_DEFAULT "default"
#define KH_CONFIG_VCPU_TYPE_DEFAULT "EPYC-v4"

/*
 * The configuration that @dict (a{sv}; floating: taken) holds, of keys and types that have been
 * checked; what it lacks is the default. Transfer full.
 */
KhConfig *kh_config_fill(GVariant *dict);

/* @config with another value (floating: taken) of one key. Transfer full. */
KhConfig *kh_config_with(const KhConfig *config, const char *key, GVariant *value);

/* All keys of @config with those of @changes (a{sv}, unchecked) over them. Transfer full. */
GVariant *kh_config_merge(const KhConfig *config, GVariant *changes);

/* @config with the values of @wanted for the keys that a running machine takes. Transfer full. */
KhConfig *kh_config_with_live_keys(const KhConfig *config, const KhConfig *wanted);

/* The keys in which the two differ, sorted as the list of keys. Transfer full. */
char **kh_config_differences(const KhConfig *a, const KhConfig *b);

/* All keys as GVariant text, for the database, and kh_config_from_text(). Transfer full. */
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

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhConfig, kh_config_unref)

G_END_DECLS
