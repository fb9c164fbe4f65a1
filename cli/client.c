/* SPDX-License-Identifier: MIT */
/* Calls of the service; see client.h. */
#include "client.h"

#include "activation.h"
#include "agent.h"
#include "dbus-generated.h"
#include "error.h"
#include "names.h"

static gboolean
wants_session(KhCli *cli, gboolean *session, GError **error)
{
    const char *choice = g_getenv("KATANA_HYPERVISOR_BUS");

    *session = cli->session;
    if (cli->session || cli->system || choice == NULL || choice[0] == '\0')
        return TRUE;
    *session = g_str_equal(choice, "session");
    if (*session || g_str_equal(choice, "system"))
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "KATANA_HYPERVISOR_BUS is \"%s\"; it must be session or system", choice);
}

gboolean
kh_client_is_session(KhCli *cli)
{
    gboolean session;

    return wants_session(cli, &session, NULL) && session;
}

static GDBusConnection *
connect_to_bus(gboolean session, GError **error)
{
    g_autofree char *address = g_dbus_address_get_for_bus_sync(
        session ? G_BUS_TYPE_SESSION : G_BUS_TYPE_SYSTEM, NULL, error);

    if (address == NULL)
        return NULL;
    return g_dbus_connection_new_for_address_sync(
        address,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
            G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, error);
}

gboolean
kh_client_connect(KhCli *cli, GError **error)
{
    GError *failure = NULL;
    gboolean session;

    /* Makes the service's errors known to GDBus before the first of them comes. */
    kh_error_quark();
    if (!wants_session(cli, &session, error))
        return FALSE;
    if (cli->bus == NULL)
        cli->bus = connect_to_bus(session, &failure);
    if (cli->bus == NULL) {
        g_prefix_error(&failure, "The bus cannot be reached: ");
        kh_activation_advise(failure, session);
        g_propagate_error(error, failure);
        return FALSE;
    }
    cli->served = cli->served || kh_activation_ensure(cli, session, error);
    return cli->served;
}

/* Whether the service may have a person asked, and the bus start the service. */
static GDBusCallFlags
get_flags(KhCli *cli)
{
    return (kh_cli_may_ask(cli) ? G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION
                                : G_DBUS_CALL_FLAGS_NONE) |
           (cli->no_activate ? G_DBUS_CALL_FLAGS_NO_AUTO_START : G_DBUS_CALL_FLAGS_NONE);
}

/* The service's own deadlines bound what takes long; none here cuts a longer one short. */
static GVariant *
call_once(KhCli *cli, const char *path, const char *interface, const char *method,
          GVariant *parameters, GUnixFDList **fds, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    g_dbus_connection_call_with_unix_fd_list(cli->bus, KH_BUS_NAME, path, interface, method,
                                             parameters, NULL, get_flags(cli), G_MAXINT, NULL,
                                             cli->deadline, kh_cli_keep_result, &result);
    kh_cli_wait_for_result(&result);
    return g_dbus_connection_call_with_unix_fd_list_finish(cli->bus, fds, result, error);
}

/* Made once more with a text agent where that can help. */
static GVariant *
call(KhCli *cli, const char *path, const char *interface, const char *method, GVariant *parameters,
     GUnixFDList **fds, GError **error)
{
    g_autoptr(GError) failure = NULL;
    GVariant *reply = call_once(cli, path, interface, method, parameters, fds, &failure);

    if (g_error_matches(failure, KH_ERROR, KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN) &&
        kh_cli_may_ask(cli) && !cli->agent_tried) {
        KhAgent *agent = kh_agent_start();

        cli->agent_tried = TRUE;
        g_clear_error(&failure);
        reply = call_once(cli, path, interface, method, parameters, fds, &failure);
        kh_agent_stop(agent);
    }
    if (reply == NULL) {
        kh_activation_advise(failure, kh_client_is_session(cli));
        g_propagate_error(error, g_steal_pointer(&failure));
    }
    return reply;
}

static gboolean
check_type(GVariant *value, const char *type, const char *what, GError **error)
{
    if (g_variant_is_of_type(value, G_VARIANT_TYPE(type)))
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_FAILED,
        "The service answered %s with a value of an unexpected type, %s where %s was "
        "expected; it may be of another version",
        what, g_variant_get_type_string(value), type);
}

GVariant *
kh_client_call(KhCli *cli, const char *path, const char *interface, const char *method,
               GVariant *parameters, const char *type, GUnixFDList **fds, GError **error)
{
    g_autoptr(GVariant) held = g_variant_ref_sink(parameters);
    g_autoptr(GVariant) reply = NULL;

    if (kh_client_connect(cli, error))
        reply = call(cli, path, interface, method, held, fds, error);
    return reply != NULL && check_type(reply, type, method, error) ? g_steal_pointer(&reply) : NULL;
}

GVariant *
kh_client_ask(KhCli *cli, const char *path, const char *interface, const char *method,
              GVariant *parameters, const char *type, GError **error)
{
    g_autoptr(GVariant) reply =
        kh_client_call(cli, path, interface, method, parameters, type, NULL, error);

    return reply == NULL ? NULL : g_variant_get_child_value(reply, 0);
}

char *
kh_client_find(KhCli *cli, const char *name_or_id, GError **error)
{
    g_autoptr(GVariant) path =
        kh_client_ask(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, "FindInstance",
                      g_variant_new("(s)", name_or_id), "(o)", error);

    return path == NULL ? NULL : g_variant_dup_string(path, NULL);
}

/* What the contract says of @interface. */
static GDBusInterfaceInfo *
find_interface(const char *interface)
{
    GDBusInterfaceInfo *const known[] = {kh_dbus_instance_interface_info(),
                                         kh_dbus_tee_interface_info(), kh_dbus_job_interface_info(),
                                         kh_dbus_manager_interface_info()};

    for (guint i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_equal(known[i]->name, interface))
            return known[i];
    g_return_val_if_reached(NULL);
}

gboolean
kh_client_check_properties(GVariant *properties, const char *interface, GError **error)
{
    GDBusInterfaceInfo *info = find_interface(interface);
    GVariantIter iter;
    const char *name;
    GVariant *item;

    g_variant_iter_init(&iter, properties);
    while (g_variant_iter_next(&iter, "{&sv}", &name, &item)) {
        g_autoptr(GVariant) value = item;
        const GDBusPropertyInfo *known = g_dbus_interface_info_lookup_property(info, name);

        if (known != NULL && !check_type(value, known->signature, name, error))
            return FALSE;
    }
    return TRUE;
}

GVariant *
kh_client_get_all(KhCli *cli, const char *path, const char *interface, GError **error)
{
    g_autoptr(GVariant) properties =
        kh_client_ask(cli, path, "org.freedesktop.DBus.Properties", "GetAll",
                      g_variant_new("(s)", interface), "(a{sv})", error);

    if (properties == NULL || !kh_client_check_properties(properties, interface, error))
        return NULL;
    return g_steal_pointer(&properties);
}

GVariant *
kh_client_get(KhCli *cli, const char *path, const char *interface, const char *property,
              const char *type, GError **error)
{
    g_autoptr(GVariant) boxed =
        kh_client_ask(cli, path, "org.freedesktop.DBus.Properties", "Get",
                      g_variant_new("(ss)", interface, property), "(v)", error);
    g_autoptr(GVariant) value = boxed == NULL ? NULL : g_variant_get_variant(boxed);

    if (value == NULL || !check_type(value, type, property, error))
        return NULL;
    return g_steal_pointer(&value);
}

GVariant *
kh_client_get_instance(KhCli *cli, const char *path, GError **error)
{
    g_autoptr(GVariant) properties = kh_client_get_all(cli, path, KH_INTERFACE_INSTANCE, error);
    g_autoptr(GVariant) more = NULL;
    g_auto(GVariantBuilder) all = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    gboolean tee = FALSE;

    if (properties == NULL || !g_variant_lookup(properties, "Tee", "b", &tee) || !tee)
        return g_steal_pointer(&properties);
    more = kh_client_get_all(cli, path, KH_INTERFACE_TEE, error);
    if (more == NULL)
        return NULL;
    for (gsize i = 0; i < g_variant_n_children(properties) + g_variant_n_children(more); i++) {
        gsize n = g_variant_n_children(properties);
        g_autoptr(GVariant) entry = i < n ? g_variant_get_child_value(properties, i)
                                          : g_variant_get_child_value(more, i - n);

        g_variant_builder_add_value(&all, entry);
    }
    return g_variant_ref_sink(g_variant_builder_end(&all));
}
