/* SPDX-License-Identifier: MIT */
/* katana-hypervisor list */
#include <string.h>

#include "client.h"
#include "error.h"
#include "names.h"
#include "output.h"
#include "sizes.h"
#include "verbs.h"

/* Instances of one answer; with the longest labels they have 12 MiB. */
#define PAGE 1000

static const char *const table_properties[] = {
    "Name", "State", "Vcpus", "MemoryBytes", "RpcPort", "MainPid", "CreatedUSec", "Tee", NULL};

static int
newest_first(gconstpointer a, gconstpointer b)
{
    guint64 first = 0, second = 0;

    g_variant_lookup(*(GVariant *const *)a, "CreatedUSec", "t", &first);
    g_variant_lookup(*(GVariant *const *)b, "CreatedUSec", "t", &second);
    return first == second ? 0 : first < second ? 1 : -1;
}

/* A page that does not go on would be asked for again without end. */
static gboolean
check_order(const char *cursor, const char *path, GError **error)
{
    if (cursor == NULL || strcmp(path, cursor) > 0)
        return TRUE;
    return kh_error_set(
        error, KH_ERROR_FAILED,
        "The service answered ListInstances with %s where instances after %s were expected", path,
        cursor);
}

/* Appends the page that comes after @cursor, which becomes its last path. */
static gboolean
fetch_page(KhCli *cli, const char *const *properties, GPtrArray *instances, char **cursor,
           GError **error)
{
    g_auto(GVariantDict) options = G_VARIANT_DICT_INIT(NULL);
    g_autoptr(GVariant) reply = NULL;
    GVariantIter iter;
    const char *path;
    GVariant *one;

    g_variant_dict_insert(&options, "limit", "u", PAGE);
    if (*cursor != NULL)
        g_variant_dict_insert(&options, "cursor", "s", *cursor);
    reply = kh_client_ask(cli, KH_PATH_MANAGER, KH_INTERFACE_MANAGER, "ListInstances",
                          g_variant_new("(^as@a{sv})", properties, g_variant_dict_end(&options)),
                          "(a{oa{sv}})", error);
    if (reply == NULL)
        return FALSE;
    g_variant_iter_init(&iter, reply);
    while (g_variant_iter_next(&iter, "{&o@a{sv}}", &path, &one)) {
        g_ptr_array_add(instances, one);
        if (!kh_client_check_properties(one, KH_INTERFACE_INSTANCE, error) ||
            !check_order(*cursor, path, error))
            return FALSE;
        g_free(*cursor);
        *cursor = g_strdup(path);
    }
    return TRUE;
}

static GPtrArray *
fetch(KhCli *cli, const char *const *properties, GError **error)
{
    g_autoptr(GPtrArray) instances =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_variant_unref);
    g_autofree char *cursor = NULL;
    guint before;

    do {
        before = instances->len;
        if (!fetch_page(cli, properties, instances, &cursor, error))
            return NULL;
    } while (instances->len - before >= PAGE);
    g_ptr_array_sort(instances, newest_first);
    return g_steal_pointer(&instances);
}

static char **
row_of(GVariant *one)
{
    const char *name = "", *state = "";
    guint32 vcpus = 0, pid = 0;
    guint64 memory = 0;
    guint16 port = 0;
    gboolean tee = FALSE;
    char **row = g_new0(char *, 8);

    g_variant_lookup(one, "Name", "&s", &name);
    g_variant_lookup(one, "State", "&s", &state);
    g_variant_lookup(one, "Vcpus", "u", &vcpus);
    g_variant_lookup(one, "MemoryBytes", "t", &memory);
    g_variant_lookup(one, "RpcPort", "q", &port);
    g_variant_lookup(one, "MainPid", "u", &pid);
    g_variant_lookup(one, "Tee", "b", &tee);
    row[0] = kh_text_sanitize(name, KH_NAME_MAX);
    row[1] = kh_text_sanitize(state, KH_NAME_MAX);
    row[2] = g_strdup_printf("%u", vcpus);
    row[3] = kh_size_format(memory);
    row[4] = g_strdup_printf("%u", port);
    row[5] = pid == 0 ? g_strdup("-") : g_strdup_printf("%u", pid);
    row[6] = g_strdup(tee ? "yes" : "no");
    return row;
}

static void
print_table(GPtrArray *instances)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);

    g_ptr_array_add(rows, g_strsplit("NAME STATE VCPUS MEMORY PORT PID TEE", " ", -1));
    for (guint i = 0; i < instances->len; i++)
        g_ptr_array_add(rows, row_of(instances->pdata[i]));
    kh_output_table(rows);
}

static void
print_json(GPtrArray *instances)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < instances->len; i++)
        json_array_add_element(array, kh_output_properties(instances->pdata[i]));
    kh_output_json_array(array);
}

int
kh_verb_list(KhCli *cli)
{
    static const char *const everything[] = {NULL};
    GError *error = NULL;
    g_auto(GStrv) none = kh_cli_parse(cli, NULL, "", 0, 0, &error);
    g_autoptr(GPtrArray) instances = NULL;

    if (none != NULL)
        instances = fetch(cli, cli->json ? everything : table_properties, &error);
    if (instances == NULL)
        return kh_cli_fail(cli, error);
    if (cli->json)
        print_json(instances);
    else
        print_table(instances);
    return 0;
}
