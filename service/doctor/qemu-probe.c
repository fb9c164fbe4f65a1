/* SPDX-License-Identifier: MIT */
/* What QEMU says of itself; see qemu-probe.h. */
#include "qemu-probe.h"

#include <string.h>

#define OUTPUT_MAX (64 * 1024)
#define VERSION_PLAIN 702 /* major * 100 + minor */
/* Under the emulation of the older ones the guest's kernel panics, if not each time. */
#define VERSION_EMULATION 800
#define VERSION_SNP 901

typedef struct {
    KhQemuFacts *facts;
    char *qemu;
    guint timeout_ms;
    guint question;
    GSubprocess *process;
    GByteArray *output;
    GCancellable *reading;
    guint timer;
} Probe;

#define WORDS_MAX 6
/* Of what QEMU says last, so that the rest of a finding is seen, too. */
#define LAST_LINE_MAX 512

/*
 * "-netdev help" starts the accelerator. Where KVM is not to be had that is TCG, whose code
 * would be written and run in the same pages: the service's unit forbids that
 * (MemoryDenyWriteExecute=), and a machine's unit does not.
 */
static const char *const questions[][WORDS_MAX + 1] = {
    {"--version"},
    {"-object", "help"},
    {"-accel", "kvm", "-accel", "tcg,split-wx=on", "-netdev", "help"},
};

static void ask(GTask *task);

void
kh_qemu_facts_free(KhQemuFacts *self)
{
    g_free(self->version);
    g_free(self->objects);
    g_free(self->netdevs);
    g_free(self->failure);
    g_free(self);
}

static void
probe_free(gpointer data)
{
    Probe *probe = data;

    g_clear_handle_id(&probe->timer, g_source_remove);
    g_clear_pointer(&probe->facts, kh_qemu_facts_free);
    g_clear_object(&probe->process);
    g_clear_pointer(&probe->output, g_byte_array_unref);
    g_clear_object(&probe->reading);
    g_free(probe->qemu);
    g_free(probe);
}

static void
keep_answer(Probe *probe)
{
    char **context[] = {&probe->facts->version, &probe->facts->objects, &probe->facts->netdevs};

    g_byte_array_append(probe->output, (const guint8 *)"", 1);
    *context[probe->question] = g_strdup((const char *)probe->output->data);
}

/* What QEMU has said last is why it has ended; "" where it has said nothing. */
static char *
last_line(Probe *probe)
{
    g_autofree char *text = NULL;
    char *feed;

    /* It has none where nothing was read. */
    g_byte_array_append(probe->output, (const guint8 *)"", 1);
    text = g_strchomp(g_strdup((const char *)probe->output->data));
    feed = strrchr(text, '\n');
    return g_strndup(feed == NULL ? text : feed + 1, LAST_LINE_MAX);
}

/* Why it was not answered. */
static char *
describe_failure(Probe *probe, const GError *error)
{
    g_autofree char *words = g_strjoinv(" ", (char **)questions[probe->question]);
    g_autofree char *last = NULL;

    if (g_cancellable_is_cancelled(probe->reading))
        return g_strdup_printf("%s %s: no answer in time, or one that is too long", probe->qemu,
                               words);
    last = last_line(probe);
    return g_strdup_printf("%s %s: %s%s%s", probe->qemu, words, error->message,
                           *last == '\0' ? "" : ": ", last);
}

/* The first failure is told; the rest is not asked. */
static void
finish(GTask *task, char *failure)
{
    Probe *probe = g_task_get_task_data(task);

    probe->facts->failure = failure;
    g_task_return_pointer(task, g_steal_pointer(&probe->facts), (GDestroyNotify)kh_qemu_facts_free);
    g_object_unref(task);
}

static void
on_ended(GObject *source, GAsyncResult *result, gpointer data)
{
    GTask *task = data;
    Probe *probe = g_task_get_task_data(task);
    g_autoptr(GError) error = NULL;

    g_clear_handle_id(&probe->timer, g_source_remove);
    if (!g_subprocess_wait_check_finish(G_SUBPROCESS(source), result, &error)) {
        finish(task, describe_failure(probe, error));
        return;
    }
    keep_answer(probe);
    probe->question++;
    if (probe->question == G_N_ELEMENTS(questions))
        finish(task, NULL);
    else
        ask(task);
}

/* Nothing more is read; on_ended() tells of it. */
static void
give_up(Probe *probe)
{
    g_cancellable_cancel(probe->reading);
    g_subprocess_force_exit(probe->process);
}

static gboolean
on_timer(gpointer data)
{
    Probe *probe = data;

    probe->timer = 0;
    give_up(probe);
    return G_SOURCE_REMOVE;
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(GTask) task = data;
    Probe *probe = g_task_get_task_data(task);
    g_autoptr(GBytes) bytes =
        g_input_stream_read_bytes_finish(G_INPUT_STREAM(source), result, NULL);
    gsize n = bytes == NULL ? 0 : g_bytes_get_size(bytes);

    if (n > 0 && probe->output->len + n > OUTPUT_MAX)
        give_up(probe);
    if (n > 0 && !g_cancellable_is_cancelled(probe->reading)) {
        g_byte_array_append(probe->output, g_bytes_get_data(bytes, NULL), (guint)n);
        g_input_stream_read_bytes_async(G_INPUT_STREAM(source), 4096, G_PRIORITY_DEFAULT,
                                        probe->reading, on_read, g_steal_pointer(&task));
        return;
    }
    g_subprocess_wait_check_async(probe->process, NULL, on_ended, g_steal_pointer(&task));
}

static GSubprocess *
spawn(Probe *probe, GError **error)
{
    const char *args[WORDS_MAX + 2] = {probe->qemu};
    g_autoptr(GSubprocessLauncher) launcher =
        g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE);

    memcpy(args + 1, questions[probe->question], sizeof questions[probe->question]);
    g_subprocess_launcher_set_cwd(launcher, "/");
    return g_subprocess_launcher_spawnv(launcher, args, error);
}

static void
ask(GTask *task)
{
    Probe *probe = g_task_get_task_data(task);
    g_autoptr(GError) error = NULL;

    g_clear_object(&probe->process);
    g_clear_object(&probe->reading);
    g_clear_pointer(&probe->output, g_byte_array_unref);
    probe->output = g_byte_array_new();
    probe->reading = g_cancellable_new();
    probe->process = spawn(probe, &error);
    if (probe->process == NULL) {
        finish(task, g_strdup(error->message));
        return;
    }
    probe->timer = g_timeout_add(probe->timeout_ms, on_timer, probe);
    g_input_stream_read_bytes_async(g_subprocess_get_stdout_pipe(probe->process), 4096,
                                    G_PRIORITY_DEFAULT, probe->reading, on_read, task);
}

void
kh_qemu_probe_async(const char *qemu, guint timeout_ms, GAsyncReadyCallback callback,
                    gpointer user_data)
{
    GTask *task = g_task_new(NULL, NULL, callback, user_data);
    Probe *probe = g_new0(Probe, 1);

    probe->facts = g_new0(KhQemuFacts, 1);
    probe->qemu = g_strdup(qemu);
    probe->timeout_ms = timeout_ms;
    g_task_set_task_data(task, probe, probe_free);
    ask(task);
}

KhQemuFacts *
kh_qemu_probe_finish(GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}

/* major * 100 + minor of "QEMU emulator version 10.0.2 (...)"; 0: it says none. */
static guint
read_version(const char *text)
{
    const char *place = text == NULL ? NULL : strstr(text, "version ");
    guint64 major, minor = 0;
    char *end;

    if (place == NULL)
        return 0;
    major = g_ascii_strtoull(place + strlen("version "), &end, 10);
    if (*end == '.')
        minor = g_ascii_strtoull(end + 1, NULL, 10);
    return major > 1000 || minor > 99 ? 0 : (guint)(major * 100 + minor);
}

static gboolean
has_word(const char *text, const char *word)
{
    g_auto(GStrv) words = g_strsplit_set(text == NULL ? "" : text, " \t\r\n", -1);

    return g_strv_contains((const char *const *)words, word);
}

static void
mend_by_package(const KhCheckContext *context, KhFindings *findings, const char *reason)
{
    g_autofree char *install = kh_distribution_install(context->distribution, KH_PACKAGE_QEMU);

    kh_findings_mend(findings, "%s%s", install, reason);
}

/* Of a version that is enough with KVM, where there is none. */
static gboolean
is_emulation_broken(guint version, KhFindings *findings)
{
    const KhFinding *kvm = kh_findings_get(findings, "kvm");

    return version >= VERSION_PLAIN && version < VERSION_EMULATION && kvm != NULL &&
           kvm->status != KH_FINDING_OK;
}

static void
judge_version(const KhCheckContext *context, const KhQemuFacts *facts, KhFindings *findings)
{
    guint version = read_version(facts->version);
    g_auto(GStrv) lines = g_strsplit(facts->version == NULL ? "" : facts->version, "\n", 2);

    if (facts->failure != NULL)
        kh_findings_add(findings, "qemu", KH_FINDING_FAIL, "%s", facts->failure);
    else if (version == 0)
        kh_findings_add(findings, "qemu", KH_FINDING_FAIL, "%s does not say which version it is",
                        context->qemu);
    else if (is_emulation_broken(version, findings))
        kh_findings_add(findings, "qemu", KH_FINDING_FAIL,
                        "%s: %s, under which the guest's kernel panics where there is no KVM",
                        context->qemu, lines[0]);
    else
        kh_findings_add(findings, "qemu",
                        version >= VERSION_SNP     ? KH_FINDING_OK
                        : version >= VERSION_PLAIN ? KH_FINDING_WARN
                                                   : KH_FINDING_FAIL,
                        "%s: %s", context->qemu, lines[0]);
    if (facts->failure != NULL || version < VERSION_PLAIN)
        mend_by_package(context, findings,
                        "; QEMU 7.2 or newer is needed, or set qemu= in the "
                        "service's settings");
    else if (version < VERSION_SNP)
        mend_by_package(context, findings,
                        is_emulation_broken(version, findings)
                            ? " of a newer release: QEMU 10.0 is known to do without KVM "
                              "(Debian 12: from bookworm-backports)"
                            : " of a newer release: confidential instances need "
                              "QEMU 9.1 (Debian 12: from bookworm-backports)");
}

static void
judge_word(const KhCheckContext *context, const char *check, const char *answer, const char *word,
           const char *missing, KhFindings *findings)
{
    if (has_word(answer, word)) {
        kh_findings_add(findings, check, KH_FINDING_OK, "QEMU has %s", word);
        return;
    }
    kh_findings_add(findings, check, KH_FINDING_FAIL,
                    answer == NULL ? "QEMU did not say whether it has %s" : "QEMU lacks %s", word);
    mend_by_package(context, findings, missing);
}

void
kh_qemu_judge(const KhCheckContext *context, const KhQemuFacts *facts, KhFindings *findings)
{
    judge_version(context, facts, findings);
    judge_word(context, "qemu-user-network", facts->netdevs, "user",
               " as the distribution builds it: with libslirp", findings);
    judge_word(context, "snp-qemu", facts->objects, "sev-snp-guest",
               ", 9.1 or newer and built with KVM", findings);
}
