/* SPDX-License-Identifier: MIT */
/*
 * Where the checks look, and what the service has told them: copied, so that they may run
 * in a thread. Tests give folders of their own instead of /sys, /proc and /dev.
 */
#pragma once

#include <glib.h>

#include "distribution.h"
#include "model/ranges.h"

G_BEGIN_DECLS

/* CPUID leaf 0x8000001F, encrypted memory (AMD's APM volume 3, appendix E). */
typedef struct {
    gboolean known;
    guint32 eax, ebx, ecx, edx;
} KhCpuidMemory;

/* The bit of an address that says "encrypted"; of EBX. */
#define KH_CPUID_CBIT(leaf) ((leaf)->ebx & 0x3f)

/* This processor's; not known where it has no such leaf. */
KhCpuidMemory kh_cpuid_memory(void);

typedef struct {
    char *sys;
    char *proc;
    char *dev;
    char *os_release;
    char *path; /* of programs, with ':' */
    KhCpuidMemory cpuid;
    KhDistribution distribution; /* by kh_check_context_load() */

    char *unreachable;        /* why no service answers; NULL: one does */
    char *unreachable_remedy; /* then */
    char *qemu;
    char *boot_components;
    char *state_folder;
    char *settings_file;
    char *read_only;  /* which of the folders of state cannot be written to; NULL: none */
    char *launcher;   /* "systemd", "direct", or "" where no service runs */
    gboolean session; /* the service is on a session bus */
    gboolean holds_memory, holds_processor; /* machines to their limits */
    gboolean kvm_usable; /* a machine's uid could open it when the service began */
    gboolean kvm_unused; /* the settings want machines emulated all the same */
    gboolean sev_opens;  /* the same of /dev/sev */
    gint64 vm_uid;       /* -1: machines run under the service's own */
    gint64 vm_gid;       /* the group that QEMU has besides; -1: none */
    KhPortRange ports;
    GHashTable *used_ports; /* of instances, GUINT_TO_POINTER */

    /* Paths that agree with no row of the database, and rows without; NULL: nobody has looked. */
    char **unknown_folders;
    char **unknown_machines;
    char **missing_folders;
    char **kept_folders;
    guint descriptors;         /* that the service may have open; 0: no service runs */
    guint descriptor_machines; /* that they suffice for */
} KhCheckContext;

/* Those of this host. Free with kh_check_context_free(). */
KhCheckContext *kh_check_context_new(void);
void kh_check_context_free(KhCheckContext *self);

/* Whether machines are units of the system's systemd: the service's own unit hides devices then. */
gboolean kh_check_context_has_system_units(const KhCheckContext *self);

/* The group kvm; -1: there is none. May wait for a name service: for start-up only. */
gint64 kh_check_context_find_kvm_group(void);

/* What takes reading before any check: the distribution, from a local file. */
void kh_check_context_load(KhCheckContext *self);

/*
 * The text of the file @path below @root, without spaces around it and at most 1 MiB; NULL
 * where it cannot be read. Transfer full.
 */
char *kh_check_context_read(const char *root, const char *path);

/* The program called @name in @self->path, or absolute; NULL: none. Transfer full. */
char *kh_check_context_find_program(const KhCheckContext *self, const char *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(KhCheckContext, kh_check_context_free)

G_END_DECLS
