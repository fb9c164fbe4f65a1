/* SPDX-License-Identifier: MIT */
/* Puts the service together; see daemon.h. */
#include "daemon.h"

#include <glib-unix.h>
#include <libsoup/soup.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "auth/doorway.h"
#include "auth/intake.h"
#include "bus/exporter.h"
#include "error.h"
#include "find-facts.h"
#include "manager/autostart.h"
#include "manager/stop-all.h"
#include "launch/launcher-choice.h"
#include "names.h"
#include "state/copies.h"

#define RECONNECT_MS 1000
#define OWNER_TIMEOUT_MS 5000

typedef struct {
    const KhSettings *settings;
    GMainLoop *loop;
    KhFacts facts;
    KhMachines machines;
    KhStore *store;
    KhShutdown *shutdown;
    KhStartProgress *progress; /* NULL once the service is ready */
    KhManager *manager;
    KhCopies *copies;
    KhJobs *jobs;
    KhGate *gate;
    GDBusConnection *connection;
    KhExporter *exporter;
    guint name;
    guint reconnect;
    gboolean ready;
    gboolean ending; /* a signal has come */
    GError *error;   /* why it ends */
} Daemon;

static void
disconnect(Daemon *self)
{
    g_clear_handle_id(&self->name, g_bus_unown_name);
    g_clear_object(&self->exporter);
    if (self->connection != NULL)
        g_signal_handlers_disconnect_by_data(self->connection, self);
    g_clear_object(&self->connection);
}

static void
daemon_free(Daemon *self)
{
    g_clear_handle_id(&self->reconnect, g_source_remove);
    /* GIO would wait for the bus's answer, which comes after all that others have sent; the bus
     * takes the name when the process ends. */
    self->name = 0;
    disconnect(self);
    g_clear_object(&self->gate);
    g_clear_object(&self->jobs);
    g_clear_object(&self->copies);
    g_clear_object(&self->manager);
    g_clear_object(&self->shutdown);
    g_clear_object(&self->machines.launcher);
    g_clear_object(&self->machines.images);
    g_clear_object(&self->machines.uids);
    g_clear_object(&self->store);
    g_clear_object(&self->machines.state_dir);
    g_clear_pointer(&self->progress, kh_start_progress_free);
    g_clear_pointer(&self->loop, g_main_loop_unref);
    g_clear_error(&self->error);
    g_free(self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Daemon, daemon_free)

static gboolean
open_stores(Daemon *self, GError **error)
{
    const KhSettings *settings = self->settings;
    KhMachines *machines = &self->machines;
    g_autofree char *database = NULL;

    machines->state_dir = kh_state_dir_open(settings->state_dir, settings->runtime_dir, error);
    if (machines->state_dir == NULL)
        return FALSE;
    database = kh_state_dir_build(machines->state_dir, "state.db");
    self->store = kh_store_open(database, error);
    if (self->store == NULL)
        return FALSE;
    self->copies = kh_copies_new(database);
    if (geteuid() == 0) {
        machines->uids = kh_uid_pool_new(self->store, &settings->uids, KH_UID_LOCK_FOLDER,
                                         kh_state_dir_get_path(machines->state_dir),
                                         kh_state_dir_fd(machines->state_dir), error);
        if (machines->uids == NULL)
            return FALSE;
    }
    machines->images = kh_image_store_new(kh_state_dir_images_fd(machines->state_dir),
                                          kh_state_dir_get_images(machines->state_dir));
    return TRUE;
}

static void
warn_of_read_only(KhStateDir *state_dir)
{
    g_autoptr(GError) found = NULL;

    if (!kh_state_dir_check_writable(state_dir, &found))
        g_warning("%s", found->message);
}

static gboolean
set_up(Daemon *self, GError **error)
{
    self->progress = kh_start_progress_new();
    if (!open_stores(self, error))
        return FALSE;
    warn_of_read_only(self->machines.state_dir);
    if (self->settings->simulate_tee)
        g_warning("insecure-simulate-tee is set: confidential machines start without any "
                  "protection");
    self->machines.launcher = kh_launcher_choose(self->settings, error);
    if (self->machines.launcher == NULL ||
        !kh_find_facts(self->settings, self->machines.launcher, self->machines.state_dir,
                       &self->facts, error))
        return FALSE;
    self->machines.facts = &self->facts;
    self->jobs = kh_jobs_new();
    self->manager = kh_manager_new(&self->machines, self->store, self->jobs, self->shutdown);
    return kh_manager_load(self->manager, self->progress, error);
}

static void
end_with(Daemon *self, GError *error)
{
    g_clear_error(&self->error);
    self->error = error;
    g_main_loop_quit(self->loop);
}

/* Nothing of an earlier service is touched before this one is known to be alone. */
static void
on_name_acquired(GDBusConnection *connection, const char *name, gpointer data)
{
    Daemon *self = data;

    g_message("Serving %s from %s with %u instances, accelerator %s", name,
              self->settings->state_dir, kh_manager_list(self->manager)->len,
              self->facts.accelerator);
    if (self->ready)
        return;
    self->ready = TRUE;
    kh_manager_take_over(self->manager, self->progress);
    kh_copies_start(self->copies);
    g_clear_pointer(&self->progress, kh_start_progress_free);
    sd_notify(0, "READY=1\nSTATUS=");
    kh_autostart_begin(self->manager, &self->facts, self->shutdown);
}

/* Why the name cannot be had: it is another's, or the bus lets nobody like us have it. */
static GError *
explain_lost_name(GVariant *reply, GError *failure)
{
    guint32 pid = 0;

    if (reply != NULL) {
        g_variant_get(reply, "(u)", &pid);
        return g_error_new(KH_ERROR, KH_ERROR_FAILED,
                           "The bus name " KH_BUS_NAME " belongs to process %u; stop that service "
                           "first",
                           pid);
    }
    if (g_error_matches(failure, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
        return g_error_new(KH_ERROR, KH_ERROR_FAILED,
                           "The bus does not let user %u have the name " KH_BUS_NAME
                           ", which nobody has; look at the bus's policy, and at "
                           "org.katana.Hypervisor.conf in it",
                           getuid());
    g_dbus_error_strip_remote_error(failure);
    return g_error_new(KH_ERROR, KH_ERROR_FAILED,
                       "The bus name " KH_BUS_NAME " was refused, and the bus does not say who "
                       "has it: %s",
                       failure->message);
}

/* A bus that is lost meanwhile has refused nothing: it is tried again, see on_closed(). */
static void
on_owner_known(GObject *source, GAsyncResult *result, gpointer data)
{
    GDBusConnection *connection = G_DBUS_CONNECTION(source);
    g_autoptr(GError) failure = NULL;
    g_autoptr(GVariant) reply = g_dbus_connection_call_finish(connection, result, &failure);

    if (reply != NULL || !g_dbus_connection_is_closed(connection))
        end_with(data, explain_lost_name(reply, failure));
}

static void
on_name_lost(GDBusConnection *connection, const char *name, gpointer data)
{
    if (connection == NULL || g_dbus_connection_is_closed(connection))
        return;
    g_dbus_connection_call(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "GetConnectionUnixProcessID",
                           g_variant_new("(s)", name), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE, OWNER_TIMEOUT_MS, NULL, on_owner_known, data);
}

static void connect_later(Daemon *self, guint delay_ms);

/* Nothing that runs ends with the bus. */
static void
on_closed(GDBusConnection *connection, gboolean remote, GError *error, gpointer data)
{
    Daemon *self = data;

    g_warning("The connection to the bus was lost; machines go on running, and the service will "
              "connect again");
    disconnect(self);
    connect_later(self, RECONNECT_MS);
}

static void
serve(Daemon *self, GDBusConnection *connection)
{
    self->connection = connection;
    g_dbus_connection_set_exit_on_close(connection, FALSE);
    g_signal_connect(connection, "closed", G_CALLBACK(on_closed), self);
    /* It says so once, which may have been before anybody listened. */
    if (g_dbus_connection_is_closed(connection)) {
        on_closed(connection, TRUE, NULL, self);
        return;
    }
    kh_intake_watch(connection, kh_gate_get_turns(self->gate));
    self->exporter = kh_exporter_new(self->manager, self->jobs, &self->machines, self->gate,
                                     connection, self->progress);
    self->name =
        g_bus_own_name_on_connection(connection, KH_BUS_NAME, G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE,
                                     on_name_acquired, on_name_lost, self, NULL);
}

static void
on_connected(GObject *source, GAsyncResult *result, gpointer data)
{
    Daemon *self = data;
    GError *error = NULL;
    GDBusConnection *connection = kh_doorway_connect_finish(result, &error);

    if (connection != NULL) {
        serve(self, connection);
    } else if (self->ready) {
        g_error_free(error);
        connect_later(self, RECONNECT_MS);
    } else {
        end_with(self, kh_error_import(error, KH_ERROR_FAILED, "The bus cannot be reached"));
    }
}

static gboolean
on_connect_timer(gpointer data)
{
    Daemon *self = data;
    GBusType type = self->settings->session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM;
    GError *error = NULL;
    g_autofree char *address = g_dbus_address_get_for_bus_sync(type, NULL, &error);

    self->reconnect = 0;
    if (address == NULL)
        end_with(self, kh_error_import(error, KH_ERROR_FAILED, "The bus has no address"));
    else
        kh_doorway_connect_async(address, kh_intake_judge, on_connected, self);
    return G_SOURCE_REMOVE;
}

static void
connect_later(Daemon *self, guint delay_ms)
{
    self->reconnect = g_timeout_add(delay_ms, on_connect_timer, self);
}

static void
on_all_stopped(GObject *source, GAsyncResult *result, gpointer data)
{
    Daemon *self = data;

    kh_stop_all_finish(KH_MANAGER(source), result);
    g_main_loop_quit(self->loop);
}

/* What stop-all may take, systemd is asked for: the steps of a stop, and some seconds. */
static void
say_stopping(Daemon *self)
{
    guint64 seconds = self->settings->stop_all ? self->settings->stop_timeout + 30 : 10;

    sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" G_GUINT64_FORMAT, seconds * G_USEC_PER_SEC);
}

/*
 * The first signal ends what is to end with the service; a second one waits for nothing, nor
 * does a service that has taken over nothing yet.
 */
static gboolean
on_signal(gpointer data)
{
    Daemon *self = data;
    gboolean again = self->ending;

    self->ending = TRUE;
    if (self->settings->stop_all)
        kh_shutdown_begin(self->shutdown);
    say_stopping(self);
    if (self->settings->stop_all && self->ready && !again)
        kh_stop_all_async(self->manager, on_all_stopped, self);
    else
        g_main_loop_quit(self->loop);
    return G_SOURCE_CONTINUE;
}

/* A signal that others may take for "rotate" or "reload": there is nothing of that here. */
static gboolean
on_idle_signal(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

/*
 * A closed terminal is a regular end, unless nohup(1) has said otherwise. None is ignored:
 * that would be inherited by shims and tools, a handler is not.
 */
static void
watch_signals(Daemon *self)
{
    struct sigaction hangup;

    g_unix_signal_add(SIGTERM, on_signal, self);
    g_unix_signal_add(SIGINT, on_signal, self);
    if (sigaction(SIGHUP, NULL, &hangup) != 0 || hangup.sa_handler != SIG_IGN)
        g_unix_signal_add(SIGHUP, on_signal, self);
    g_unix_signal_add(SIGUSR1, on_idle_signal, self);
    g_unix_signal_add(SIGUSR2, on_idle_signal, self);
}

/*
 * GDBus's thread and libsoup's class both register GIO's address types, and may wait for
 * each other for ever. So they are there before there is a second thread.
 */
static void
register_types(void)
{
    g_type_ensure(G_TYPE_INET_SOCKET_ADDRESS);
    g_type_ensure(G_TYPE_PROXY_ADDRESS);
    g_type_class_unref(g_type_class_ref(SOUP_TYPE_SESSION));
}

gboolean
kh_daemon_run(const KhSettings *settings, GError **error)
{
    g_autoptr(Daemon) self = g_new0(Daemon, 1);
    g_autoptr(KhLimits) limits = kh_limits_new();
    g_autoptr(KhAuthority) authority = kh_authority_new(
        settings->session || geteuid() != 0 ? KH_AUTHORITY_OWNER : KH_AUTHORITY_POLKIT, limits);

    register_types();
    self->settings = self->machines.settings = settings;
    self->shutdown = kh_shutdown_new();
    self->loop = g_main_loop_new(NULL, FALSE);
    watch_signals(self);
    if (!set_up(self, error))
        return FALSE;
    self->gate = kh_gate_new(authority, limits);
    connect_later(self, 0);
    if (!self->ending)
        g_main_loop_run(self->loop);
    kh_stop_all_save(self->manager);
    if (self->error == NULL)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&self->error));
    return FALSE;
}

gboolean
kh_daemon_adopt_empty_state(const KhSettings *settings, GError **error)
{
    g_autoptr(Daemon) self = g_new0(Daemon, 1);
    const KhStrangers *found;

    self->settings = self->machines.settings = settings;
    self->shutdown = kh_shutdown_new();
    if (!open_stores(self, error))
        return FALSE;
    self->manager = kh_manager_new(&self->machines, self->store, NULL, NULL);
    if (!kh_manager_load(self->manager, NULL, error) ||
        !kh_manager_adopt_strangers(self->manager, error))
        return FALSE;
    found = kh_manager_get_strangers(self->manager);
    g_print("What the database does not know is left alone (folders: %u, running machines: %u); "
            "instances can be created now\n",
            found->folders->len, found->machines->len);
    return TRUE;
}
