/* SPDX-License-Identifier: MIT */
/*
 * The options that describe a launch by its files and its shape: those of measure, and of
 * attest for an expectation from files. Files and command line are bytes.
 */
#pragma once

#include <glib.h>

#include "cli.h"
#include "measurement.h"

G_BEGIN_DECLS

typedef struct {
    char *ovmf;
    char *kernel;
    char *initrd;
    char *cmdline;
    char *katana_repo;
    char *vcpus;
    char *vcpu_type;
    char *vcpu_sig;
    char *vmm;
    char *guest_features;
} KhLaunchOptions;

void kh_launch_options_clear(KhLaunchOptions *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(KhLaunchOptions, kh_launch_options_clear)

/* The entries for kh_cli_parse(), with an ending one; transfer full, g_free(). */
GOptionEntry *kh_launch_options_entries(KhLaunchOptions *self);

/*
 * Finds and loads the files, with a note where --katana-repo left a choice. *cmdline: what
 * belongs to them, owned by @self or static. Errors: KH_ERROR_INVALID_ARGUMENT, and those
 * of kh_boot_parts_load().
 */
KhBootParts *kh_launch_options_load(KhLaunchOptions *self, KhCli *cli, const char **cmdline,
                                    GError **error);

/* The shape; what was not given is the default of an instance. KH_ERROR_INVALID_ARGUMENT. */
gboolean kh_launch_options_shape(const KhLaunchOptions *self, KhLaunchShape *shape, GError **error);

G_END_DECLS
