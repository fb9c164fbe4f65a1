/* SPDX-License-Identifier: MIT */
/* See options.h. */
#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    FLAG,   /* bool */
    NUMBER, /* unsigned */
    TEXT,   /* const char * */
    LIST,   /* connect */
    IGNORED_FLAG,
    IGNORED_VALUE,
};

struct option {
    const char *name;
    enum kind kind;
    size_t offset;
    bool needs_dev;
};

#define AT(field) offsetof(struct options, field)

/* Names that end in a dot stand for all that begin so. */
static const struct option table[] = {
    {"--dev", FLAG, AT(dev), false},
    {"--dev.accounts", IGNORED_VALUE, 0, true},
    {"--dev.seed", IGNORED_VALUE, 0, true},
    {"--dev.no-fee", IGNORED_FLAG, 0, true},
    {"--dev.no-account-validation", IGNORED_FLAG, 0, true},
    {"--block-time", NUMBER, AT(block_time_ms), false},
    {"-b", NUMBER, AT(block_time_ms), false},
    {"--chain-id", TEXT, AT(chain_id), false},
    {"--db-dir", TEXT, AT(db_dir), false},
    {"--data-dir", TEXT, AT(db_dir), false},
    {"--http.addr", TEXT, AT(http_addr), false},
    {"--http.port", NUMBER, AT(http_port), false},
    {"--version", FLAG, AT(version), false},
    {"--no-mining", IGNORED_FLAG, 0, false},
    {"--no-state-trie", IGNORED_FLAG, 0, false},
    {"--silent", IGNORED_FLAG, 0, false},
    {"--explorer", IGNORED_FLAG, 0, false},
    {"--metrics", IGNORED_FLAG, 0, false},
    {"--grpc", IGNORED_FLAG, 0, false},
    {"--gateway", IGNORED_FLAG, 0, false},
    {"--paymaster", IGNORED_FLAG, 0, false},
    {"--vrf", IGNORED_FLAG, 0, false},
    {"--cartridge.paymaster", IGNORED_FLAG, 0, false},
    {"--cartridge.controllers", IGNORED_FLAG, 0, false},
    {"--db.auto-migrate", IGNORED_FLAG, 0, false},
    {"--enable-native-compilation", IGNORED_FLAG, 0, false},
    {"--chain", IGNORED_VALUE, 0, false},
    {"--genesis", IGNORED_VALUE, 0, false},
    {"--config", IGNORED_VALUE, 0, false},
    {"--tee", IGNORED_VALUE, 0, false},
    {"--l1.provider", IGNORED_VALUE, 0, false},
    {"--http.api", IGNORED_VALUE, 0, false},
    {"--http.cors_origins", IGNORED_VALUE, 0, false},
    {"--http.cors-origins", IGNORED_VALUE, 0, false},
    {"--invoke-max-steps", IGNORED_VALUE, 0, false},
    {"--validate-max-steps", IGNORED_VALUE, 0, false},
    {"--fork.", IGNORED_VALUE, 0, false},
    {"--metrics.", IGNORED_VALUE, 0, false},
    {"--rpc.", IGNORED_VALUE, 0, false},
    {"--log.", IGNORED_VALUE, 0, false},
    {"--gpo.", IGNORED_VALUE, 0, false},
    {"--grpc.", IGNORED_VALUE, 0, false},
    {"--gateway.", IGNORED_VALUE, 0, false},
    {"--paymaster.", IGNORED_VALUE, 0, false},
    {"--cartridge.", IGNORED_VALUE, 0, false},
    {"--vrf.", IGNORED_VALUE, 0, false},
    {"--messaging.", IGNORED_VALUE, 0, false},
    {"--settlement.", IGNORED_VALUE, 0, false},
    {"--tracer.", IGNORED_VALUE, 0, false},
    {"--fake.ready-after", NUMBER, AT(ready_after_ms), false},
    {"--fake.crash-after", NUMBER, AT(crash_after_ms), false},
    {"--fake.spam-seconds", NUMBER, AT(spam_seconds), false},
    {"--fake.no-newline", NUMBER, AT(no_newline_seconds), false},
    {"--fake.ignore-stop", FLAG, AT(ignore_stop), false},
    {"--fake.spam-log", FLAG, AT(spam_log), false},
    {"--fake.spin", FLAG, AT(spin), false},
    {"--fake.fill-disk", FLAG, AT(fill_disk), false},
    {"--fake.health", TEXT, AT(health), false},
    {"--fake.fatal", TEXT, AT(fatal), false},
    {"--fake.connect", LIST, 0, false},
    {"--fake.deaf", IGNORED_FLAG, 0, false}, /* for the guest's init */
};

static const struct option *
find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t own = strlen(table[i].name);
        bool prefix = table[i].name[own - 1] == '.';

        if ((prefix ? len > own : len == own) && strncmp(table[i].name, name, own) == 0)
            return &table[i];
    }
    return NULL;
}

static bool
complain(const char *what, const char *name, size_t len)
{
    fprintf(stderr, "error: %s '%.*s'\n\nFor more information, try '--help'.\n", what,
            (int)(len > 64 ? 64 : len), name);
    return false;
}

static bool
parse_number(const char *text, unsigned *number)
{
    char *end;

    errno = 0;

    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value > 1000000000)
        return false;
    *number = (unsigned)value;
    return true;
}

static bool
store(struct options *options, const struct option *option, const char *value)
{
    char *field = (char *)options + option->offset;

    switch (option->kind) {
    case FLAG:
        *(bool *)field = true;
        return true;
    case NUMBER:
        return parse_number(value, (unsigned *)field);
    case TEXT:
        *(const char **)field = value;
        return true;
    case LIST:
        if (options->n_connect == OPTIONS_MAX_CONNECT)
            return false;
        options->connect[options->n_connect++] = value;
        return true;
    default:
        return true;
    }
}

/* Takes the option at *index, and its value. */
static bool
take_option(struct options *options, int argc, char **argv, int *index, bool *needs_dev)
{
    const char *arg = argv[*index];
    size_t len = strcspn(arg, "=");
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;

    if (arg[0] != '-')
        return complain("unexpected argument", "(not shown)", 11);

    const struct option *option = find_option(arg, len);

    if (option == NULL)
        return complain("unexpected argument", arg, len);
    *needs_dev = *needs_dev || option->needs_dev;
    if (option->kind == FLAG || option->kind == IGNORED_FLAG) {
        if (value != NULL)
            return complain("a value was given for", arg, len);
    } else if (value == NULL) {
        if (*index + 1 == argc || strncmp(argv[*index + 1], "--", 2) == 0)
            return complain("a value is required for", arg, len);
        value = argv[++*index];
    }
    if (!store(options, option, value))
        return complain("invalid value for", arg, len);
    return true;
}

static bool
check(const struct options *options)
{
    if (options->http_port < 1 || options->http_port > 65535)
        return complain("invalid value for", "--http.port", 11);
    if (options->health != NULL && strcmp(options->health, "false") != 0 &&
        strcmp(options->health, "hang") != 0 && strcmp(options->health, "500") != 0)
        return complain("invalid value for", "--fake.health", 13);
    return true;
}

bool
options_parse(struct options *options, int argc, char **argv)
{
    bool needs_dev = false;

    *options = (struct options){
        .chain_id = "KATANA",
        .http_addr = "127.0.0.1",
        .http_port = 5050,
        .spam_seconds = 10,
    };
    for (int i = 1; i < argc; i++)
        if (!take_option(options, argc, argv, &i, &needs_dev))
            return false;
    if (needs_dev && !options->dev)
        return complain("the following required argument was not provided:", "--dev", 5);
    return check(options);
}
