/* SPDX-License-Identifier: MIT */
/* The properties of transient units; see unit-properties.h. */
#include "unit-properties.h"

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

/* Of shim, QEMU's threads (one per processor, up to 64 workers) and tools. */
#define TASKS_MAX 1024
#define CAPABILITY(number) (G_GUINT64_CONSTANT(1) << (number))
/* What the shim still does when QEMU does not answer, before systemd kills all. */
#define STOP_MARGIN_S 15
/* In the journal it has its whole name, as every program here. */
#define IDENTIFIER "katana-hypervisor-shim"

static void
add(GVariantBuilder *b, const char *name, GVariant *value)
{
    g_variant_builder_add(b, "(sv)", name, value);
}

static void
add_string(GVariantBuilder *b, const char *name, const char *value)
{
    add(b, name, g_variant_new_string(value));
}

static void
add_number(GVariantBuilder *b, const char *name, guint64 value)
{
    add(b, name, g_variant_new_uint64(value));
}

static void
add_true(GVariantBuilder *b, const char *const *names)
{
    for (; *names != NULL; names++)
        add(b, *names, g_variant_new_boolean(TRUE));
}

static void
add_strings(GVariantBuilder *b, const char *name, const char *const *values)
{
    add(b, name, g_variant_new_strv(values, -1));
}

/* An allow-list, as (bas). */
static void
add_allowed(GVariantBuilder *b, const char *name, const char *const *values)
{
    add(b, name, g_variant_new("(b^as)", TRUE, values));
}

/* As systemd takes it when it puts variables of the environment into arguments. */
static char *
escape(const char *word)
{
    g_autoptr(GString) text = g_string_new(word);

    g_string_replace(text, "$", "$$", 0);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/*
 * No variable is put into arguments, which hold paths of others. Not by the flag
 * "no-env-expand" of ExecStartEx=: systemd 252 writes that name into the unit's file and does
 * not know it when it reads the file again (systemctl daemon-reload).
 */
static void
add_command(GVariantBuilder *b, const char *shim, const char *const *args)
{
    GVariantBuilder words;

    g_variant_builder_init(&words, G_VARIANT_TYPE_STRING_ARRAY);
    g_variant_builder_add_value(&words, g_variant_new_take_string(escape(shim)));
    for (; *args != NULL; args++)
        g_variant_builder_add_value(&words, g_variant_new_take_string(escape(*args)));
    add(b, "ExecStart",
        g_variant_new_parsed("[(%s, %@as, false)]", shim, g_variant_builder_end(&words)));
}

static gboolean
is_below(const char *path, const char *folder)
{
    gsize length = strlen(folder);

    return strncmp(path, folder, length) == 0 && path[length] == '/';
}

/* Links are followed, as systemd does: /home may be one, and what it leads to is hidden then. */
static gboolean
is_below_any(const char *path, const char *const *folders)
{
    g_autofree char *real_path = path == NULL ? NULL : realpath(path, NULL);

    for (; path != NULL && *folders != NULL; folders++) {
        g_autofree char *folder = realpath(*folders, NULL);

        if (is_below(path, *folders) ||
            (real_path != NULL && folder != NULL && is_below(real_path, folder)))
            return TRUE;
    }
    return FALSE;
}

/* Whether one of the paths lies where the property would hide it. */
static gboolean
any_below(const char *const *paths, guint n, const char *const *folders)
{
    for (guint i = 0; i < n; i++)
        if (is_below_any(paths[i], folders))
            return TRUE;
    return FALSE;
}

/* The folders that are hidden or made read-only, but for the paths that are needed. */
static void
add_folders(GVariantBuilder *b, const char *const *paths, guint n, const char *const *writable)
{
    static const char *const homes[] = {"/home", "/root", "/run/user", NULL};
    static const char *const temporary[] = {"/tmp", "/var/tmp", NULL};

    add_string(b, "ProtectSystem", "strict");
    add_string(b, "ProtectHome", any_below(paths, n, homes) ? "read-only" : "yes");
    add(b, "PrivateTmp", g_variant_new_boolean(!any_below(paths, n, temporary)));
    add_strings(b, "ReadWritePaths", writable);
}

/*
 * What every systemd can do, also one without any right: it takes rights away. Not
 * MemoryDenyWriteExecute=: TCG writes code and runs it.
 */
static void
add_filters(GVariantBuilder *b)
{
    static const char *const yes[] = {"NoNewPrivileges", "LockPersonality", "RestrictSUIDSGID",
                                      "RestrictRealtime", NULL};
    static const char *const calls[] = {"@system-service", "seccomp", NULL};
    static const char *const families[] = {"AF_UNIX", "AF_INET", "AF_INET6", NULL};
    static const char *const native[] = {"native", NULL};

    add_true(b, yes);
    add_number(b, "RestrictNamespaces", 0);
    add_allowed(b, "RestrictAddressFamilies", families);
    add_allowed(b, "SystemCallFilter", calls);
    add(b, "SystemCallErrorNumber", g_variant_new_int32(EPERM));
    add_strings(b, "SystemCallArchitectures", native);
    add_number(b, "LimitCORE", 0);
    add(b, "UMask", g_variant_new_uint32(0077));
}

/*
 * What takes root: mounts, devices, capabilities. A user's systemd cannot do it and would start
 * nothing; nor is it asked of root's own, whose state is in /root: only with the capabilities
 * that are taken here does the shim get through there into a folder of the machine's user. Not
 * PrivateDevices= with KVM, whose device it would hide. Not User=: systemd 252 refuses a uid
 * without an entry, so that the shim, which is root with the rights to become another and no more,
 * does it.
 */
static void
add_walls(GVariantBuilder *b, gboolean kvm, gboolean sev)
{
    static const char *const yes[] = {
        "PrivateIPC",        "ProtectControlGroups", "ProtectClock",          "ProtectHostname",
        "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", NULL};

    add_number(b, "CapabilityBoundingSet",
               CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETPCAP));
    add_true(b, yes);
    add(b, "PrivateDevices", g_variant_new_boolean(!kvm));
    add_string(b, "DevicePolicy", "closed");
    if (kvm && sev)
        add(b, "DeviceAllow", g_variant_new_parsed("[('/dev/kvm', 'rw'), ('/dev/sev', 'rw')]"));
    else if (kvm)
        add(b, "DeviceAllow", g_variant_new_parsed("[('/dev/kvm', 'rw')]"));
    add_string(b, "ProtectProc", "invisible");
    add_string(b, "ProcSubset", "pid");
    add_string(b, "KeyringMode", "private");
}

/* NAME=VALUE in every line of the journal, as bytes. */
static void
add_log_field(GVariantBuilder *fields, const char *name, const char *value)
{
    g_autofree char *text = g_strconcat(name, "=", value, NULL);

    g_variant_builder_add_value(
        fields, g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, text, strlen(text), 1));
}

static void
add_identity(GVariantBuilder *b, KhUnitManager manager, const KhLaunchSpec *launch)
{
    static const char *const after[] = {"katana-hypervisord.service", "dbus.service", NULL};
    g_autofree char *description = g_strdup_printf("Katana instance %s", launch->name);
    GVariantBuilder fields;

    g_variant_builder_init(&fields, G_VARIANT_TYPE("aay"));
    add_log_field(&fields, "KATANA_INSTANCE", launch->name);
    add_log_field(&fields, "KATANA_INSTANCE_ID", launch->id);
    add_string(b, "Description", description);
    /* What is started after these two is stopped before them. */
    add_strings(b, "After", after);
    add_string(b, "Slice",
               manager == KH_UNIT_MANAGER_SYSTEM ? "machine-katana.slice" : "app-katana.slice");
    add(b, "LogExtraFields", g_variant_builder_end(&fields));
    add_string(b, "SyslogIdentifier", IDENTIFIER);
}

/*
 * A failed unit stays until it is released, so that even a service that was not there
 * hears of an out-of-memory kill.
 */
static void
add_life(GVariantBuilder *b, const char *type, guint start_s, guint stop_s)
{
    add_string(b, "Type", type);
    add_string(b, "NotifyAccess", "main");
    add_string(b, "CollectMode", "inactive");
    add(b, "AddRef", g_variant_new_boolean(TRUE));
    add_number(b, "TimeoutStartUSec", (guint64)start_s * G_USEC_PER_SEC);
    add_number(b, "TimeoutStopUSec", (guint64)stop_s * G_USEC_PER_SEC);
    /* SIGTERM is for the shim, which stops the guest; SIGKILL is for all. */
    add_string(b, "KillMode", "mixed");
}

static void
add_limits(GVariantBuilder *b, const KhLaunchSpec *launch)
{
    if (launch->memory_max > 0)
        add_number(b, "MemoryMax", launch->memory_max);
    if (launch->cpu_quota > 0)
        add_number(b, "CPUQuotaPerSecUSec", (guint64)launch->cpu_quota * 10000);
    add_number(b, "TasksMax", TASKS_MAX);
}

GVariant *
kh_unit_properties_of_machine(KhUnitManager manager, const char *shim, const KhLaunchSpec *launch)
{
    const char *paths[] = {shim,           launch->qemu,         launch->kernel,
                           launch->initrd, launch->state_folder, launch->runtime_folder};
    const char *writable[] = {launch->state_folder, launch->runtime_folder, NULL};
    g_auto(GStrv) args = kh_launcher_build_run_args(launch, -1);
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE("a(sv)"));
    add_identity(&b, manager, launch);
    add_life(&b, "notify", KH_UNIT_START_TIMEOUT, launch->stop_timeout + STOP_MARGIN_S);
    add_command(&b, shim, (const char *const *)args);
    add_limits(&b, launch);
    add_filters(&b);
    if (manager == KH_UNIT_MANAGER_SYSTEM) {
        add_walls(&b, launch->kvm, launch->firmware != NULL);
        add_folders(&b, paths, G_N_ELEMENTS(paths), writable);
    }
    return g_variant_builder_end(&b);
}

/* The word after @option, NULL for none. */
static const char *
find_value(const char *const *args, const char *option)
{
    for (; args[0] != NULL && args[1] != NULL && !g_str_equal(args[0], "--"); args++)
        if (g_str_equal(args[0], option))
            return args[1];
    return NULL;
}

GVariant *
kh_unit_properties_of_tool(KhUnitManager manager, const char *shim, const char *const *args)
{
    const char *folder = find_value(args, "--state-dir");
    const char *paths[] = {shim, folder};
    const char *writable[] = {folder, NULL};
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE("a(sv)"));
    add_string(&b, "Description", "Tool of katana-hypervisord");
    add_string(&b, "SyslogIdentifier", IDENTIFIER);
    add_life(&b, "oneshot", KH_UNIT_TOOL_TIMEOUT, 5);
    add_command(&b, shim, args);
    add_filters(&b);
    if (manager == KH_UNIT_MANAGER_SYSTEM) {
        add_walls(&b, g_str_has_prefix(args[0], "--probe-"), g_str_equal(args[0], "--probe-sev"));
        add_folders(&b, paths, G_N_ELEMENTS(paths), writable);
    }
    return g_variant_builder_end(&b);
}

GVariant *
kh_unit_properties_of_quota(guint percent)
{
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE("a(sv)"));
    add_number(&b, "CPUQuotaPerSecUSec", percent > 0 ? (guint64)percent * 10000 : G_MAXUINT64);
    return g_variant_builder_end(&b);
}
