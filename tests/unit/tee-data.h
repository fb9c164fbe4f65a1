/* SPDX-License-Identifier: MIT */
/* Real data for the tests of service/tee, where it is there. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* A file of $KH_TEE_DATA, NULL after saying so if it is not there; transfer full. */
static inline char *
tee_data_path(const char *name)
{
    const char *folder = g_getenv("KH_TEE_DATA");
    g_autofree char *path = folder == NULL ? NULL : g_build_filename(folder, name, NULL);

    if (path != NULL && g_file_test(path, G_FILE_TEST_IS_REGULAR))
        return g_steal_pointer(&path);
    g_test_skip("the real data (KH_TEE_DATA) is not here");
    return NULL;
}

/* Its JSON object, which is good; NULL after saying so if it is not there. Transfer full. */
static inline JsonNode *
tee_data_json(const char *name)
{
    g_autofree char *path = tee_data_path(name);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    if (path == NULL)
        return NULL;
    json_parser_load_from_file(parser, path, &error);
    g_assert_no_error(error);
    return json_parser_steal_root(parser);
}
