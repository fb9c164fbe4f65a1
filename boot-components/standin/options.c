/* SPDX-License-Identifier: MIT */
/* The stand-in's command line. One table names every flag; main.c is the only caller. */
#include "options.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef bool (*SetFlag)(KhStandinOptions *options, const char *value);

typedef struct {
    const char *name;
    bool takes_value;
    bool needs_dev;
    SetFlag set; /* NULL: known to Katana, and of no effect in a stand-in */
} Flag;

static bool
parse_number(const char *text, uint64_t max, uint64_t *number)
{
    char *end = NULL;

    if (!isdigit((unsigned char)text[0]) || strlen(text) > 18)
        return false;
    *number = strtoull(text, &end, 10);
    return *end == '\0' && *number <= max;
}

static bool
set_address(KhStandinOptions *options, const char *value)
{
    return inet_pton(AF_INET, value, &options->address) == 1;
}

static bool
set_port(KhStandinOptions *options, const char *value)
{
    uint64_t port;

    if (!parse_number(value, UINT16_MAX, &port))
        return false;
    options->port = (uint16_t)port;
    return true;
}

static bool
set_api(KhStandinOptions *options, const char *value)
{
    for (const char *item = value; *item != '\0';) {
        size_t length = strcspn(item, ",");

        if (length == 3 && memcmp(item, "dev", 3) == 0)
            options->dev_api = true;
        item += length;
        item += *item == ',';
    }
    return true;
}

static bool
set_db_dir(KhStandinOptions *options, const char *value)
{
    options->db_dir = value;
    return value[0] != '\0';
}

/* As Katana reads it: a number in hexadecimal after 0x, else a short string. */
static bool
set_chain_id(KhStandinOptions *options, const char *value)
{
    size_t length = strlen(value);
    char *out = options->chain_id;

    if (strncmp(value, "0x", 2) == 0) {
        value += 2;
        value += strspn(value, "0");
        length = strlen(value);
        if (length > 62 || strspn(value, "0123456789abcdefABCDEF") != length)
            return false;
        snprintf(out, sizeof options->chain_id, "0x%s", length > 0 ? value : "0");
        for (; *out != '\0'; out++)
            *out = (char)tolower((unsigned char)*out);
        return true;
    }
    if (length == 0 || length > 31)
        return false;
    out += sprintf(out, "0x");
    for (; *value != '\0'; value++) {
        if (!isgraph((unsigned char)*value))
            return false;
        out += sprintf(out, "%02x", (unsigned char)*value);
    }
    return true;
}

static bool
set_block_time(KhStandinOptions *options, const char *value)
{
    return parse_number(value, UINT32_MAX, &options->block_time) && options->block_time > 0;
}

static bool
set_dev(KhStandinOptions *options, const char *value)
{
    (void)value;
    options->dev = true;
    return true;
}

static bool
set_accounts(KhStandinOptions *options, const char *value)
{
    uint64_t accounts;

    (void)options;
    return parse_number(value, UINT16_MAX, &accounts);
}

static bool
set_ready_after(KhStandinOptions *options, const char *value)
{
    return parse_number(value, UINT32_MAX, &options->ready_after);
}

static bool
set_crash_after(KhStandinOptions *options, const char *value)
{
    return parse_number(value, UINT32_MAX, &options->crash_after) && options->crash_after > 0;
}

static bool
set_ignore_stop(KhStandinOptions *options, const char *value)
{
    (void)value;
    options->ignore_stop = true;
    return true;
}

static bool
set_spam_log(KhStandinOptions *options, const char *value)
{
    (void)value;
    options->spam_log = true;
    return true;
}

static bool
set_spam_seconds(KhStandinOptions *options, const char *value)
{
    return parse_number(value, 3600, &options->spam_seconds);
}

static bool
set_no_newline(KhStandinOptions *options, const char *value)
{
    (void)value;
    options->spam_log = true;
    options->no_newline = true;
    return true;
}

static bool
set_deaf(KhStandinOptions *options, const char *value)
{
    (void)value;
    options->deaf = true;
    return true;
}

static bool
set_health(KhStandinOptions *options, const char *value)
{
    static const char *const names[] = {
        [KH_STANDIN_HEALTH_OK] = "ok",
        [KH_STANDIN_HEALTH_FAIL] = "fail",
        [KH_STANDIN_HEALTH_HANG] = "hang",
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(value, names[i]) == 0) {
            options->health = (KhStandinHealth)i;
            return true;
        }
    }
    return false;
}

static bool
set_connect(KhStandinOptions *options, const char *value)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(value, ':');
    uint64_t port;

    if (colon == NULL || (size_t)(colon - value) >= sizeof host ||
        !parse_number(colon + 1, UINT16_MAX, &port) || port == 0)
        return false;
    memcpy(host, value, (size_t)(colon - value));
    host[colon - value] = '\0';
    options->connect.sin_family = AF_INET;
    options->connect.sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &options->connect.sin_addr) == 1;
}

static bool
set_fatal(KhStandinOptions *options, const char *value)
{
    options->fatal = value;
    return value[0] != '\0';
}

static const Flag flags[] = {
    {"--http.addr", true, false, set_address},
    {"--http.port", true, false, set_port},
    {"--http.api", true, false, set_api},
    {"--http.cors_origins", true, false, NULL},
    {"--db-dir", true, false, set_db_dir},
    {"--data-dir", true, false, set_db_dir},
    {"--chain-id", true, false, set_chain_id},
    {"--block-time", true, false, set_block_time},
    {"-b", true, false, set_block_time},
    {"--no-mining", false, false, NULL},
    {"--dev", false, false, set_dev},
    {"--dev.seed", true, true, NULL},
    {"--dev.accounts", true, true, set_accounts},
    {"--dev.no-fee", false, true, NULL},
    {"--dev.no-account-validation", false, true, NULL},
    {"--fake.ready-after", true, false, set_ready_after},
    {"--fake.crash-after", true, false, set_crash_after},
    {"--fake.ignore-stop", false, false, set_ignore_stop},
    {"--fake.spam-log", false, false, set_spam_log},
    {"--fake.spam-seconds", true, false, set_spam_seconds},
    {"--fake.no-newline", false, false, set_no_newline},
    {"--fake.health", true, false, set_health},
    {"--fake.connect", true, false, set_connect},
    {"--fake.fatal", true, false, set_fatal},
    {"--fake.deaf", false, false, set_deaf},
};

static const Flag *
find_flag(const char *argument, size_t length)
{
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strlen(flags[i].name) == length && memcmp(flags[i].name, argument, length) == 0)
            return &flags[i];
    }
    return NULL;
}

static void
set_defaults(KhStandinOptions *options)
{
    memset(options, 0, sizeof *options);
    options->address.s_addr = htonl(INADDR_LOOPBACK);
    options->port = 5050;
    options->spam_seconds = 10;
    strcpy(options->chain_id, "0x4b4154414e41");
}

/* Takes the flag at argv[*i], and its value where that is the next argument. */
static const Flag *
take_flag(KhStandinOptions *options, int argc, char **argv, int *i, char *message, size_t size)
{
    const char *argument = argv[*i], *value = NULL;
    size_t length = strcspn(argument, "=");
    const Flag *flag = find_flag(argument, length);

    if (flag == NULL) {
        snprintf(message, size,
                 "unexpected argument '%.*s' found; see README.md for what the "
                 "stand-in takes",
                 (int)(length > 64 ? 64 : length), argument);
        return NULL;
    }
    if (argument[length] == '=')
        value = argument + length + 1;
    else if (flag->takes_value && *i + 1 < argc)
        value = argv[++*i];
    if (flag->takes_value != (value != NULL)) {
        snprintf(message, size, "%s takes %s value", flag->name, flag->takes_value ? "a" : "no");
        return NULL;
    }
    if (flag->set != NULL && !flag->set(options, value)) {
        snprintf(message, size, "the value of %s is not valid", flag->name);
        return NULL;
    }
    return flag;
}

bool
kh_standin_options_parse(KhStandinOptions *options, int argc, char **argv, char *message,
                         size_t size)
{
    const char *needs_dev = NULL;

    set_defaults(options);
    for (int i = 1; i < argc; i++) {
        const Flag *flag = take_flag(options, argc, argv, &i, message, size);

        if (flag == NULL)
            return false;
        if (flag->needs_dev)
            needs_dev = flag->name;
    }
    if (needs_dev != NULL && !options->dev) {
        snprintf(message, size, "%s needs --dev", needs_dev);
        return false;
    }
    return true;
}
