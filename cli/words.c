/* SPDX-License-Identifier: MIT */
/* Properties in words; see words.h. */
#include "words.h"

#include "config-keys.h"

/* Those whose name, taken apart, is no good English, or says something else. */
static const struct {
    const char *property, *words;
} words[] = {
    {"StateReason", "reason"},
    {"StateChangedUSec", "in this state since"},
    {"Vcpus", "processors"},
    {"VcpuType", "processor type"},
    {"MainPid", "QEMU's process id"},
    {"OwnerUid", "created by uid"},
    {"Dev", "development mode"},
    {"NoFee", "without fees"},
    {"Tee", "confidential"},
    {"StopResult", "last stop"},
    {"ExitCode", "Katana's exit code"},
    {"RestartCount", "automatic restarts"},
    {"BootComponents", "boot component"},
    {"Outbound", "outbound network"},
    {"CpuQuotaPercent", "CPU limit"},
    {"InstanceCount", "instances"},
    {"RunningCount", "running"},
};

/* Values that are no number, or no text, to people. */
static const struct {
    const char *property, *value, *words;
} nothing[] = {
    {"ChainId", "''", "Katana's default"},
    {"BlockTime", "0", "a block for each transaction"},
    {"Accounts", "0", "Katana's default"},
    {"ExitCode", "-1", "-"},
    {"MainPid", "0", "-"},
    {"CpuQuotaPercent", "0", "none"},
    {"StateChangedUSec", "0", "-"},
};

/* "RpcUrl" -> "RPC URL", "CreatedUSec" -> "created"; units are said with the value. */
static char *
take_apart(const char *name)
{
    static const char *const capitals[] = {"rpc", "url", "cpu", "qemu", NULL};
    g_autoptr(GString) text = g_string_new(NULL);
    g_auto(GStrv) parts = NULL;

    for (const char *c = name; *c != '\0'; c++) {
        if (g_str_equal(c, "USec") || g_str_equal(c, "Bytes"))
            break;
        if (g_ascii_isupper(*c) && c != name)
            g_string_append_c(text, ' ');
        g_string_append_c(text, g_ascii_tolower(*c));
    }
    parts = g_strsplit(text->str, " ", -1);
    for (char **part = parts; *part != NULL; part++)
        if (g_strv_contains(capitals, *part))
            for (char *c = *part; *c != '\0'; c++)
                *c = g_ascii_toupper(*c);
    return g_strjoinv(" ", parts);
}

char *
kh_words_of(const char *name)
{
    const KhConfigKey *key = kh_config_key_find(name);

    if (key != NULL)
        return g_strdup(key->option != NULL ? key->option : key->key);
    for (guint i = 0; i < G_N_ELEMENTS(words); i++)
        if (g_str_equal(words[i].property, name))
            return g_strdup(words[i].words);
    return take_apart(name);
}

const char *
kh_words_for_nothing(const char *property, GVariant *value)
{
    g_autofree char *printed = NULL;

    if (g_variant_is_container(value))
        return NULL;
    printed = g_variant_print(value, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(nothing); i++)
        if (g_str_equal(nothing[i].property, property) && g_str_equal(nothing[i].value, printed))
            return nothing[i].words;
    return g_str_equal(printed, "''") ? "-" : NULL;
}
