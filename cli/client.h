/* SPDX-License-Identifier: MIT */
/*
 * Calls of the service. Every verb goes through here, so that bus choice, interactive
 * authorization and the one retry with a text agent stand in one place.
 */
#pragma once

#include <gio/gunixfdlist.h>

#include "cli.h"

G_BEGIN_DECLS

/*
 * Connects to the bus that the options and KATANA_HYPERVISOR_BUS name, and has the service
 * started; each once.
 */
gboolean kh_client_connect(KhCli *cli, GError **error);

/* Whether that is the session bus. */
gboolean kh_client_is_session(KhCli *cli);

/*
 * Calls a method, waiting as long as it takes or until cli->deadline is cancelled, and serves
 * the default main context meanwhile. @parameters is consumed. @fds may be NULL.
 * On NotAuthorizedCanObtain pkttyagent is started, if a person can be asked, and the call
 * is made once more. KH_ERROR_FAILED where the reply is not of @type, such as "(o)". Transfer full.
 */
GVariant *kh_client_call(KhCli *cli, const char *path, const char *interface, const char *method,
                         GVariant *parameters, const char *type, GUnixFDList **fds, GError **error);

/* The same of a method that gives one value, which is returned. */
GVariant *kh_client_ask(KhCli *cli, const char *path, const char *interface, const char *method,
                        GVariant *parameters, const char *type, GError **error);

/* The object path of an instance by name, id or prefix; transfer full. */
char *kh_client_find(KhCli *cli, const char *name_or_id, GError **error);

/* Whether those of @properties (a{sv}) that the contract knows have its types; KH_ERROR_FAILED. */
gboolean kh_client_check_properties(GVariant *properties, const char *interface, GError **error);

/* All properties of an interface, checked: a{sv}; transfer full. */
GVariant *kh_client_get_all(KhCli *cli, const char *path, const char *interface, GError **error);

/* One of them, of @type. Transfer full. */
GVariant *kh_client_get(KhCli *cli, const char *path, const char *interface, const char *property,
                        const char *type, GError **error);

/*
 * Those of an instance, with those of its Tee interface where it is confidential: no two have
 * one name. Transfer full.
 */
GVariant *kh_client_get_instance(KhCli *cli, const char *path, GError **error);

G_END_DECLS
