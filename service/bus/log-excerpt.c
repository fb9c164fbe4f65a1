/* SPDX-License-Identifier: MIT */
/* The last lines of a log in an error; see log-excerpt.h. */
#include "log-excerpt.h"

#include <gio/gunixinputstream.h>
#include <unistd.h>

#include "error.h"
#include "launch/shim-protocol.h"
#include "log-lines.h"
#include "log/log-stream.h"

#define ACTION_READ_LOGS "read-logs"
/* The end of the current file, and of the one before it, which it may have just replaced. */
#define FILES 2
#define READ_MAX (FILES * KH_LOG_LINE_MAX)

typedef struct {
    KhInstance *instance;
    const KhSettings *settings;
    GDBusMethodInvocation *invocation; /* until it is answered */
    GError *error;
    char *text;
} Answer;

static void
answer_free(Answer *answer)
{
    g_object_unref(answer->instance);
    g_error_free(answer->error);
    g_free(answer->text);
    g_free(answer);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Answer, answer_free)

static void
send(Answer *answer)
{
    g_dbus_method_invocation_return_gerror(g_steal_pointer(&answer->invocation), answer->error);
}

static void
on_read(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Answer) answer = data;
    gsize n = 0;

    g_input_stream_read_all_finish(G_INPUT_STREAM(source), result, &n, NULL);
    kh_log_lines_add(answer->error, answer->text, n);
    send(answer);
}

static void
on_opened(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Answer) answer = data;
    g_autoptr(GInputStream) stream = NULL;
    int fd = kh_log_stream_open_finish(result, NULL);

    if (fd < 0) {
        send(answer);
        return;
    }
    stream = g_unix_input_stream_new(fd, TRUE);
    answer->text = g_malloc0(READ_MAX + 1);
    g_input_stream_read_all_async(stream, answer->text, READ_MAX, G_PRIORITY_DEFAULT, NULL, on_read,
                                  answer);
    g_steal_pointer(&answer);
}

/* Takes @answer. */
static void
open_log(Answer *answer, int folder)
{
    const KhLogRequest request = {.name = answer->error->code == KH_ERROR_LAUNCH_FAILED
                                              ? KH_FILE_QEMU_LOG
                                              : KH_FILE_SERIAL_LOG,
                                  .uid = kh_instance_get_record(answer->instance)->vm_uid,
                                  .file_size = 0, /* and a line: no more is read of each */
                                  .files_max = MIN(FILES, answer->settings->log_files),
                                  .lines = KH_LOG_LINES};

    kh_log_stream_open_async(folder, &request, NULL, NULL, NULL, NULL, on_opened, answer);
}

static void
on_asked(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(Answer) answer = data;
    int folder = kh_gate_ask_finish(KH_GATE(source), result)
                     ? kh_instance_open_folder(answer->instance, NULL)
                     : -1;

    if (folder < 0) {
        send(answer);
        return;
    }
    open_log(g_steal_pointer(&answer), folder);
    close(folder);
}

void
kh_log_excerpt_answer(KhInstance *instance, const KhSettings *settings, KhGate *gate,
                      GDBusInterfaceSkeleton *skeleton, GDBusMethodInvocation *invocation,
                      GError *error)
{
    Answer *answer;

    if (!kh_log_lines_explain(error)) {
        g_dbus_method_invocation_take_error(invocation, error);
        return;
    }
    answer = g_new0(Answer, 1);
    answer->instance = g_object_ref(instance);
    answer->settings = settings;
    answer->invocation = invocation;
    answer->error = error;
    kh_gate_ask_async(gate, skeleton, invocation, ACTION_READ_LOGS, on_asked, answer);
}
