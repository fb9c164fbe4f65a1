/* SPDX-License-Identifier: MIT */
/* Memory and clock of the host; see memory.h. */
#include "memory.h"

#include <string.h>

#include "sizes.h"

/* Of the smallest useful machine, and what a service manager gives by itself. */
#define AVAILABLE_MIN (G_GUINT64_CONSTANT(1) << 30)
#define LOCK_MIN (G_GUINT64_CONSTANT(8) << 20)

static void
check_available(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *text = kh_check_context_read(context->proc, "meminfo");
    const char *line = text == NULL ? NULL : strstr(text, "MemAvailable:");
    guint64 bytes =
        line == NULL ? 0 : g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) * 1024;
    g_autofree char *shown = kh_size_format(bytes);

    kh_findings_add(findings, "memory", bytes >= AVAILABLE_MIN ? KH_FINDING_OK : KH_FINDING_WARN,
                    line == NULL ? "the kernel does not say how much memory is available%s"
                                 : "available: %s",
                    line == NULL ? "" : shown);
    if (bytes < AVAILABLE_MIN)
        kh_findings_mend(findings, "stop instances or give the host more memory; that of a "
                                   "confidential machine is never swapped");
}

/* Soft and hard limit as the kernel writes them; FALSE: they are not there. */
static gboolean
read_limit(const char *text, char **soft, char **hard)
{
    g_autoptr(GRegex) regex = g_regex_new("^Max locked memory\\s+(unlimited|\\d+)\\s+"
                                          "(unlimited|\\d+)",
                                          G_REGEX_MULTILINE, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;

    if (!g_regex_match(regex, text, 0, &match))
        return FALSE;
    *soft = g_match_info_fetch(match, 1);
    *hard = g_match_info_fetch(match, 2);
    return TRUE;
}

/*
 * SNP's private memory (guest_memfd) does not count against the limit, what else QEMU pins
 * does. A machine that is a unit has the service manager's default, not the service's own; in a
 * session the service has that itself.
 */
static void
check_lock(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *text = kh_check_context_read(
        context->proc, kh_check_context_has_system_units(context) ? "1/limits" : "self/limits");
    g_autofree char *soft = NULL, *hard = NULL;
    gboolean known = text != NULL && read_limit(text, &soft, &hard);
    gboolean enough =
        known && (g_str_equal(soft, "unlimited") || g_ascii_strtoull(soft, NULL, 10) >= LOCK_MIN);

    if (known)
        kh_findings_add(findings, "memory-lock", enough ? KH_FINDING_OK : KH_FINDING_WARN,
                        "a process may lock %s bytes (hard limit: %s); SNP's own memory does not "
                        "count",
                        soft, hard);
    else
        kh_findings_add(findings, "memory-lock", KH_FINDING_WARN,
                        "the limit of locked memory cannot be read");
    if (!enough)
        kh_findings_mend(findings, g_str_equal(context->launcher, "systemd")
                                       ? "DefaultLimitMEMLOCK=64M in /etc/systemd/system.conf"
                                       : "ulimit -l 65536 before the service, or LimitMEMLOCK=64M "
                                         "in its unit");
}

/* The word in brackets of "always [madvise] never"; transfer full. */
static char *
chosen_word(const char *text)
{
    const char *open = text == NULL ? NULL : strchr(text, '[');
    const char *close = open == NULL ? NULL : strchr(open, ']');

    return close == NULL ? g_strdup("") : g_strndup(open + 1, (gsize)(close - open - 1));
}

static void
check_huge_pages(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *text =
        kh_check_context_read(context->sys, "kernel/mm/transparent_hugepage/enabled");
    g_autofree char *chosen = chosen_word(text);

    if (g_str_equal(chosen, "always") || g_str_equal(chosen, "madvise")) {
        kh_findings_add(findings, "huge-pages", KH_FINDING_OK, "transparent huge pages: %s",
                        chosen);
        return;
    }
    kh_findings_add(findings, "huge-pages", KH_FINDING_WARN, "transparent huge pages: %s",
                    *chosen == '\0' ? "not known" : chosen);
    kh_findings_mend(findings, "machines run, slower; "
                               "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled");
}

static void
check_clock(const KhCheckContext *context, KhFindings *findings)
{
    g_autofree char *source = kh_check_context_read(
        context->sys, "devices/system/clocksource/clocksource0/current_clocksource");

    if (source != NULL && (g_str_equal(source, "tsc") || g_str_equal(source, "kvm-clock"))) {
        kh_findings_add(findings, "clock", KH_FINDING_OK, "the host's clock is %s", source);
        return;
    }
    kh_findings_add(findings, "clock", KH_FINDING_WARN, "the host's clock is %s, not tsc",
                    source == NULL ? "unknown" : source);
    kh_findings_mend(findings, "guests' clocks are slow; dmesg | grep -i tsc says why the kernel "
                               "does not trust it");
}

void
kh_memory_check(const KhCheckContext *context, KhFindings *findings)
{
    check_available(context, findings);
    check_lock(context, findings);
    check_huge_pages(context, findings);
    check_clock(context, findings);
}
