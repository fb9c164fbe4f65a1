/* SPDX-License-Identifier: MIT */
/* katana-hypervisor show, and status, which shows the service. */
#include <stdio.h>

#include "client.h"
#include "error.h"
#include "names.h"
#include "output.h"
#include "verbs.h"

static GVariant *
get_configuration(KhCli *cli, const char *path, gboolean qemu_args, GError **error)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);

    if (qemu_args)
        g_variant_dict_insert(&options, "qemu-args", "b", TRUE);
    return kh_client_ask(cli, path, KH_INTERFACE_INSTANCE, "GetConfiguration",
                         g_variant_new("(@a{sv})", g_variant_dict_end(&options)), "(a{sv})", error);
}

/* One command that a shell can run. */
static gboolean
print_command(KhCli *cli, GVariant *configuration, GError **error)
{
    g_autoptr(GVariant) args =
        g_variant_lookup_value(configuration, "qemu-args", G_VARIANT_TYPE_STRING_ARRAY);
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree const char **words = NULL;

    if (args == NULL)
        return kh_error_set(
            error, KH_ERROR_FAILED,
            "The service answered GetConfiguration without the qemu-args that were expected");
    if (cli->json) {
        kh_output_json(json_gvariant_serialize(args));
        return TRUE;
    }
    words = g_variant_get_strv(args, NULL);
    for (guint i = 0; words[i] != NULL; i++) {
        g_autofree char *quoted = kh_output_shell_word(words[i]);

        g_string_append_printf(line, "%s%s", i > 0 ? " " : "", quoted);
    }
    puts(line->str);
    return TRUE;
}

int
kh_verb_show(KhCli *cli)
{
    gboolean config = FALSE, qemu_args = FALSE;
    const GOptionEntry entries[] = {
        {"config", 0, 0, G_OPTION_ARG_NONE, &config,
         "Show the configuration, with Katana's arguments", NULL},
        {"qemu-args", 0, 0, G_OPTION_ARG_NONE, &qemu_args, "Show an equivalent QEMU command", NULL},
        {NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL},
    };
    GError *error = NULL;
    g_auto(GStrv) names = kh_cli_parse(cli, entries, "NAME", 1, 1, &error);
    g_autofree char *path = names == NULL ? NULL : kh_client_find(cli, names[0], &error);
    g_autoptr(GVariant) result = NULL;

    if (path != NULL && (config || qemu_args))
        result = get_configuration(cli, path, qemu_args, &error);
    else if (path != NULL)
        result = kh_client_get_instance(cli, path, &error);
    if (result == NULL || (qemu_args && !print_command(cli, result, &error)))
        return kh_cli_fail(cli, error);
    if (!qemu_args)
        kh_output_shown(cli->json, result);
    return 0;
}

int
kh_verb_status(KhCli *cli)
{
    GError *error = NULL;
    g_auto(GStrv) none = kh_cli_parse(cli, NULL, "", 0, 0, &error);
    g_autoptr(GVariant) properties = NULL;

    if (none != NULL)
        properties = kh_client_get_all(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, &error);
    if (properties == NULL)
        return kh_cli_fail(cli, error);
    kh_output_shown(cli->json, properties);
    return 0;
}
