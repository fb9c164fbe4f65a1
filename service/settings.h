/* SPDX-License-Identifier: MIT */
/*
 * The service's settings: defaults of the mode, then the configuration file, then the
 * command line. Read once by main(); the list of keys stands in settings.c.
 */
#pragma once

#include <glib.h>

#include "model/ranges.h"

G_BEGIN_DECLS

typedef struct {
    gboolean session;
    gboolean verbose;
    gboolean version;
    gboolean yield_cgroup; /* only kh_cgroups_yield() */
    gboolean adopt;        /* only kh_daemon_adopt_empty_state() */
    char *config_file;     /* that was read; the mode's own may be absent */
    char *shim;

    char *state_dir;
    char *runtime_dir;
    char *boot_components;
    char *qemu;
    char *launcher;    /* "auto", "systemd" or "direct" */
    char *accelerator; /* "auto", "kvm" or "tcg" */
    KhUidRange uids;
    KhPortRange ports;
    gboolean stop_all;     /* instances stop with the service */
    gboolean simulate_tee; /* confidential machines start as ordinary ones, for tests */
    guint max_instances;
    guint64 log_size; /* bytes */
    guint log_files;
    guint start_timeout; /* seconds */
    guint stop_timeout;  /* seconds */
} KhSettings;

/*
 * Reads them. An unknown key or group of the file is a warning with the nearest known one; a
 * bad value, an unknown option, an unreadable file or a setting before any group is
 * KH_ERROR_INVALID_ARGUMENT. "--help" is answered here. Transfer full.
 */
KhSettings *kh_settings_read(int argc, char **argv, GError **error);

void kh_settings_free(KhSettings *settings);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhSettings, kh_settings_free)

G_END_DECLS
