/* SPDX-License-Identifier: MIT */
/* Tests of what the command line prints and reads, and of its exit codes. */
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "dbus-generated.h"
#include "error.h"
#include "harmless.h"
#include "log-output.h"
#include "names.h"
#include "output.h"
#include "values.h"
#include "verbs.h"
#include "words.h"

static void
keys(void)
{
    static const struct {
        const char *property, *key;
    } cases[] = {
        {"Name", "name"},
        {"RpcPort", "rpc_port"},
        {"CreatedUSec", "created_usec"},
        {"BootTimeUSec", "boot_time_usec"},
        {"memory-bytes", "memory_bytes"},
        {"MemoryLimitBytes", "memory_limit_bytes"},
        {"StartAtBoot", "start_at_boot"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *key = kh_output_key(cases[i].property);

        g_assert_cmpstr(key, ==, cases[i].key);
    }
}

static char *
json_of(const char *text)
{
    g_autoptr(GVariant) properties =
        g_variant_ref_sink(g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, NULL));
    g_autoptr(JsonNode) node = kh_output_properties(properties);

    return json_to_string(node, FALSE);
}

static void
json(void)
{
    static const struct {
        const char *properties, *document;
    } cases[] = {
        {"@a{sv} {}", "{}"},
        {"{'Name': <'x\"y'>, 'RpcPort': <uint16 5050>}", "{\"name\":\"x\\\"y\",\"rpc_port\":5050}"},
        {"{'LastError': <('', '')>}", "{\"last_error\":null}"},
        {"{'LastError': <('E', 'm')>}", "{\"last_error\":{\"name\":\"E\",\"message\":\"m\"}}"},
        {"{'Labels': <{'a': 'b'}>}", "{\"labels\":{\"a\":\"b\"}}"},
        {"{'BootComponents': <[('vmlinuz', '/p', 'ab')]>}",
         "{\"boot_components\":[{\"part\":\"vmlinuz\",\"path\":\"/"
         "p\",\"sha256\":\"ab\"}]}"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *document = json_of(cases[i].properties);

        g_assert_cmpstr(document, ==, cases[i].document);
    }
}

/* The same value to whoever parses it, and nothing that leads a terminal astray. */
static void
json_is_harmless(void)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"\x1b[2J", "\"\\u001b[2J\""},
        {"\x1f", "\"\\u001f\""},
        {"\x7f", "\"\\u007f\""},
        {"\302\23331m", "\"\\u009b31m\""},
        {"\302\235", "\"\\u009d\""},
        {"\u202e\u2066", "\"\\u202e\\u2066\""},
        {"\u200e\u200f\u061c", "\"\\u200e\\u200f\\u061c\""},
        {"\u2028\u2029\ufeff", "\"\\u2028\\u2029\\ufeff\""},
        {"\U000e0041", "\"\\udb40\\udc41\""},
        {"a\tb\nc\"\\", "\"a\\tb\\nc\\\"\\\\\""},
        {"\u00fc \u20ac \U0001f600", "\"\u00fc \u20ac \U0001f600\""},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(JsonNode) node = json_node_init_string(json_node_alloc(), cases[i].text);
        g_autofree char *json = kh_output_json_text(node, FALSE);
        g_autoptr(JsonNode) read = json_from_string(json, NULL);

        g_assert_cmpstr(json, ==, cases[i].json);
        g_assert_cmpstr(json_node_get_string(read), ==, cases[i].text);
    }
}

/* A key may be anything, too; and what is no UTF-8 cannot be JSON. */
static void
json_of_odd_members(void)
{
    g_autoptr(JsonObject) object = json_object_new();
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);
    g_autofree char *json = NULL;

    json_object_set_string_member(object, "a\302\233", "b\377\302");
    json = kh_output_json_text(node, TRUE);
    g_assert_cmpstr(json, ==, "{\n  \"a\\u009b\" : \"b\357\277\275\357\277\275\"\n}");
}

/* What a shell makes of it is the word. */
static void
shell_words(void)
{
    static const char *const words[] = {"plain",           "it's",      "", "a b\\", "\x1b[2J'\\",
                                        "\u202ex\302\233", "two\nlines"};

    for (guint i = 0; i < G_N_ELEMENTS(words); i++) {
        g_autofree char *quoted = kh_output_shell_word(words[i]);
        g_autofree char *script = g_strdup_printf("printf %%s %s", quoted);
        const char *argv[] = {"bash", "-c", script, NULL};
        g_autofree char *said = NULL;

        for (const char *at = quoted; *at != '\0'; at = g_utf8_next_char(at))
            g_assert_false(kh_text_is_harmful(g_utf8_get_char(at)));
        g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL,
                                   &said, NULL, NULL, NULL));
        g_assert_cmpstr(said, ==, words[i]);
    }
}

static void
values(void)
{
    static const struct {
        const char *property, *value, *shown;
    } cases[] = {
        {"State", "'running'", "running"},
        {"State", "'a\\u001b[2Jb'", "a\357\277\275[2Jb"},
        {"LimitsEnforced", "false", "no"},
        {"PendingChanges", "@as []", "-"},
        {"PendingChanges", "['memory-bytes', 'katana-args']", "memory katana-args"},
        {"ChainId", "''", "Katana's default"},
        {"ChainId", "'SN_X'", "SN_X"},
        {"BlockTime", "uint64 0", "a block for each transaction"},
        {"BlockTime", "uint64 500", "500 ms"},
        {"ExitCode", "-1", "-"},
        {"ExitCode", "1", "1"},
        {"CpuQuotaPercent", "uint32 0", "none"},
        {"CpuQuotaPercent", "uint32 150", "150 % of one processor"},
        {"MainPid", "uint32 0", "-"},
        {"StateReason", "''", "-"},
        {"memory-bytes", "uint64 4294967296", "4 GiB"},
        {"Labels", "@a{ss} {}", "-"},
        {"Labels", "{'a': 'b\\u001bc'}", "a=b\357\277\275c"},
        {"MemoryLimitBytes", "uint64 1342177280", "1.2 GiB"},
        {"BootTimeUSec", "uint64 1500000", "1.50 s"},
        {"StartTimeoutUSec", "uint64 120000000", "120.00 s"},
        {"CreatedUSec", "uint64 0", "never"},
        {"CreatedUSec", "'soon'", "soon"},
        {"BlockTime", "1.5", "1.5"},
        {"CpuQuotaPercent", "uint64 5", "5"},
        {"MemoryBytes", "-1", "-1"},
        {"PendingChanges", "uint32 1", "1"},
        {"LastError", "'text'", "text"},
        {"LastError", "('E', 'message')", "message"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GVariant) value =
            g_variant_ref_sink(g_variant_parse(NULL, cases[i].value, NULL, NULL, NULL));
        g_autofree char *shown = kh_output_value(cases[i].property, value);

        g_assert_cmpstr(shown, ==, cases[i].shown);
    }
}

/* No name of the bus, and no two alike: those of the interfaces that are shown as one. */
static void
in_words(void)
{
    static const struct {
        const char *name, *words;
    } cases[] = {
        {"Id", "id"},
        {"RpcUrl", "RPC URL"},
        {"MemoryBytes", "memory"},
        {"MemoryLimitBytes", "memory limit"},
        {"CreatedUSec", "created"},
        {"BootTimeUSec", "boot time"},
        {"MainPid", "QEMU's process id"},
        {"StateChangedUSec", "in this state since"},
        {"memory-bytes", "memory"},
        {"rpc-address", "bind"},
        {"katana-args", "katana-args"},
    };
    GDBusInterfaceInfo *const shown[] = {kh_dbus_instance_interface_info(),
                                         kh_dbus_tee_interface_info()};
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *words = kh_words_of(cases[i].name);

        g_assert_cmpstr(words, ==, cases[i].words);
    }
    for (guint i = 0; i < G_N_ELEMENTS(shown); i++) {
        for (GDBusPropertyInfo **one = shown[i]->properties; *one != NULL; one++) {
            char *words = kh_words_of((*one)->name);

            g_assert_null(strpbrk(words, "_-"));
            g_assert_null(strstr(words, "usec"));
            g_assert_cmpuint(strlen(words), <=, 20);
            g_assert_true(g_hash_table_add(seen, words));
        }
    }
}

static void
changes(void)
{
    static const struct {
        const char *key, *text, *value; /* NULL: refused */
    } cases[] = {
        {"vcpus", "2", "uint32 2"},
        {"vcpus", "0", NULL},
        {"vcpus", "-1", NULL},
        {"vcpus", "2 ", NULL},
        {"memory-bytes", "1.5G", "uint64 1610612736"},
        {"memory-bytes", "", NULL},
        {"rpc-port", "5050", "uint16 5050"},
        {"rpc-port", "0", "uint16 0"},
        {"rpc-port", "00", NULL},
        {"cpu-quota-percent", "0", "uint32 0"},
        {"cpu-quota-percent", "25501", NULL},
        {"dev", "true", "true"},
        {"dev", "false", "false"},
        {"dev", "1", NULL},
        {"dev", "", NULL},
        {"restart-policy", "always", "'always'"},
        {"image", "default", "'default'"},
        {"chain-id", "", "''"},
        {"chain-id", "\377", NULL},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) value =
            kh_value_parse_change(kh_config_key_find(cases[i].key), cases[i].text, &error);
        g_autofree char *shown = value == NULL ? NULL : g_variant_print(value, TRUE);

        g_assert_cmpstr(shown, ==, cases[i].value);
        if (value == NULL)
            g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    }
}

static char *
write_file(const char *text)
{
    g_autoptr(GError) error = NULL;
    char *path = NULL;
    int fd = g_file_open_tmp("kh-args-XXXXXX", &path, &error);

    g_assert_no_error(error);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize)strlen(text));
    close(fd);
    return path;
}

static void
katana_args(void)
{
    static const struct {
        const char *text, *value; /* NULL: refused */
    } cases[] = {
        {"", "['--rest']"},
        {"--a\n\n  --b=c  \n", "['--a', '--b=c', '--rest']"},
        {"--a\377\n", NULL},
    };
    char *rest[] = {(char *)"--rest", NULL};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = write_file(cases[i].text);
        g_autoptr(GVariant) value = kh_value_katana_args(path, rest, &error);
        g_autofree char *shown = value == NULL ? NULL : g_variant_print(value, FALSE);

        unlink(path);
        g_assert_cmpstr(shown, ==, cases[i].value);
        if (value == NULL)
            g_assert_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT);
    }
}

static void
seconds(void)
{
    static const struct {
        const char *text;
        guint64 usec; /* 0: refused */
    } cases[] = {
        {"1", 1000000}, {"2.5", 2500000}, {"3600", 3600000000}, {"0.9", 0}, {"3601", 0}, {"", 0},
        {"x", 0},       {"5s", 0},        {"nan", 0},           {"inf", 0}};

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
        g_autoptr(GError) error = NULL;
        guint64 usec = 0;

        g_assert_cmpint(kh_verb_add_timeout(&dict, cases[i].text, &error), ==, cases[i].usec != 0);
        g_variant_dict_lookup(&dict, "timeout-usec", "t", &usec);
        g_assert_cmpuint(usec, ==, cases[i].usec);
    }
}

/* "--" ends options; only create keeps what follows it for Katana. */
static void
rest(void)
{
    char *args[] = {(char *)"katana-hypervisor", (char *)"a", NULL};
    char *after[] = {(char *)"b", NULL};
    KhCli cli = {.verb = "x", .args = args, .rest = after};
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) all = kh_cli_parse(&cli, NULL, "NAME...", 1, 2, &error);
    g_auto(GStrv) own = NULL;
    g_autofree char *joined = NULL;

    g_assert_no_error(error);
    joined = g_strjoinv(" ", all);
    g_assert_cmpstr(joined, ==, "a b");
    cli.keeps_rest = TRUE;
    own = kh_cli_parse(&cli, NULL, "NAME", 1, 1, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(g_strv_length(own), ==, 1);
}

static void
exit_codes(void)
{
    static const struct {
        KhError code;
        int exit;
    } cases[] = {
        {KH_ERROR_FAILED, 1},
        {KH_ERROR_INVALID_ARGUMENT, 2},
        {KH_ERROR_NOT_FOUND, 3},
        {KH_ERROR_ALREADY_EXISTS, 4},
        {KH_ERROR_INVALID_STATE, 4},
        {KH_ERROR_BUSY, 4},
        {KH_ERROR_PORT_UNAVAILABLE, 4},
        {KH_ERROR_NOT_AUTHORIZED, 5},
        {KH_ERROR_NOT_AUTHORIZED_CAN_OBTAIN, 5},
        {KH_ERROR_NOT_AUTHORIZED_DISMISSED, 5},
        {KH_ERROR_TIMED_OUT, 6},
        {KH_ERROR_LAUNCH_FAILED, 1},
        {KH_ERROR_INTEGRITY_MISMATCH, 1},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = g_error_new(KH_ERROR, (int)cases[i].code, "x");

        g_assert_cmpint(kh_cli_exit_code(error), ==, cases[i].exit);
    }
}

/* Of what is no error of the service's. */
static void
foreign_errors(void)
{
    static const struct {
        int domain, code, exit;
        const char *name;
    } cases[] = {
        {0, G_IO_ERROR_CLOSED, 7, "ServiceUnavailable"},
        {0, G_IO_ERROR_DBUS_ERROR, 1, "Failed"},
        {1, G_DBUS_ERROR_ACCESS_DENIED, 5, "NotAuthorized"},
        {1, G_DBUS_ERROR_UNKNOWN_OBJECT, 3, "NotFound"},
        {1, G_DBUS_ERROR_SERVICE_UNKNOWN, 7, "ServiceUnavailable"},
        {1, G_DBUS_ERROR_INVALID_ARGS, 1, "Failed"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error =
            g_error_new(cases[i].domain == 0 ? G_IO_ERROR : G_DBUS_ERROR, cases[i].code, "x");

        g_assert_cmpint(kh_cli_exit_code(error), ==, cases[i].exit);
        g_assert_cmpstr(kh_cli_error_name(error), ==, cases[i].name);
    }
}

static void
feed(KhHarmless *state, GString *out, const char *bytes, gsize length)
{
    GString *piece = kh_harmless_text(state, bytes, length);

    g_string_append_len(out, piece->str, (gssize)piece->len);
    g_string_free(piece, TRUE);
}

/* Cut anywhere, a text comes out the same. */
static void
harmless(void)
{
    static const char text[] = "a\033[2Jb\r\n\tc\302\233d\303\251\342\200\256e\0f\377g"
                               "\360\237\230\200\342\202";
    static const char wanted[] = "a\357\277\275[2Jb \n\tc\357\277\275d\303\251\357\277\275e"
                                 "\357\277\275f\357\277\275g\360\237\230\200\357\277\275";
    const gsize length = sizeof text - 1;

    for (gsize first = 1; first < length; first++)
        for (gsize second = first + 1; second < length; second++) {
            KhHarmless state = {.length = 0};
            g_autoptr(GString) out = g_string_new(NULL);

            feed(&state, out, text, first);
            feed(&state, out, text + first, second - first);
            feed(&state, out, text + second, length - second);
            feed(&state, out, "", 0);
            g_assert_cmpmem(out->str, out->len, wanted, sizeof wanted - 1);
        }
}

static void
cut_to_columns(void)
{
    static const struct {
        const char *text;
        guint columns;
        const char *shown;
    } cases[] = {
        {"abc", 3, "abc"},
        {"abcd", 3, "abc"},
        {"", 0, ""},
        {"a", 0, ""},
        {"\u00fc\u00fc\u00fc", 2, "\u00fc\u00fc"},
        /* One that takes two columns, and one that takes none. */
        {"\u4e2d\u4e2d", 3, "\u4e2d"},
        {"a\u0301b", 2, "a\u0301b"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup(cases[i].text);

        kh_output_cut(text, cases[i].columns);
        g_assert_cmpstr(text, ==, cases[i].shown);
    }
}

/* What has been printed of a log is @printed, up to @limit at most; the log is now @whole. */
static gint64
place_of(const char *printed, const char *whole, gsize piece, guint64 limit)
{
    g_autofree KhLogOutput *output = g_new0(KhLogOutput, 1);
    g_auto(KhLogSearch) search = {NULL};
    gsize length = strlen(whole);

    output->tail_length = strlen(printed);
    memcpy(output->tail, printed, output->tail_length);
    kh_log_search_init(&search, output);
    search.limit = limit;
    for (gsize at = 0; at < length; at += piece)
        kh_log_search_feed(&search, whole + at, MIN(piece, length - at));
    return search.end;
}

static void
found_again(void)
{
    static const struct {
        const char *printed, *whole;
        gint64 place;
    } cases[] = {
        {"", "anything", 0},        {"a", "", -1},          {"abc", "abc", 3},
        {"abc", "xxabcxx", 5},      {"abc", "abcabcab", 6}, {"aa", "aaaaab", 5},
        {"aab", "aaab", 4},         {"abab", "ababab", 6},  {"abcabd", "abcabcabd", 9},
        {"abc", "ab", -1},          {"abc", "abdabe", -1},  {"aabaaab", "aabaabaaab", 10},
        {"x\ny\n", "x\nx\ny\n", 6},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        for (gsize piece = 1; piece < 5; piece++)
            g_assert_cmpint(place_of(cases[i].printed, cases[i].whole, piece, G_MAXUINT64), ==,
                            cases[i].place);
}

/* By comparison with the plain way, over texts of two letters. */
static void
found_as_by_comparison(void)
{
    for (guint i = 0; i < 4000; i++) {
        char printed[8] = "", whole[40] = "";
        gint64 place = -1;
        int n = g_test_rand_int_range(1, 7), m = g_test_rand_int_range(0, 39);
        int limit = g_test_rand_int_range(0, 60);

        for (int j = 0; j < n; j++)
            printed[j] = g_test_rand_int_range(0, 2) == 0 ? 'a' : 'b';
        for (int j = 0; j < m; j++)
            whole[j] = g_test_rand_int_range(0, 2) == 0 ? 'a' : 'b';
        for (int j = 0; j + n <= MIN(m, limit); j++)
            if (strncmp(whole + j, printed, (gsize)n) == 0)
                place = j + n;
        g_assert_cmpint(place_of(printed, whole, 3, (guint64)limit), ==, place);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/output/keys", keys);
    g_test_add_func("/output/json", json);
    g_test_add_func("/output/harmless-json", json_is_harmless);
    g_test_add_func("/output/odd-members", json_of_odd_members);
    g_test_add_func("/output/shell-words", shell_words);
    g_test_add_func("/output/values", values);
    g_test_add_func("/output/words", in_words);
    g_test_add_func("/output/exit-codes", exit_codes);
    g_test_add_func("/output/foreign-errors", foreign_errors);
    g_test_add_func("/output/harmless", harmless);
    g_test_add_func("/input/changes", changes);
    g_test_add_func("/input/katana-args", katana_args);
    g_test_add_func("/input/seconds", seconds);
    g_test_add_func("/input/rest", rest);
    g_test_add_func("/output/cut", cut_to_columns);
    g_test_add_func("/output/log-found-again", found_again);
    g_test_add_func("/output/log-found-as-by-comparison", found_as_by_comparison);
    return g_test_run();
}
