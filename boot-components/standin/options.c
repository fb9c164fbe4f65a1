/* SPDX-License-Identifier: MIT */
/* See options.h. */
#include "options.h"

#include "buf.h"

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

/* What is not here is accepted and ignored: a real Katana has some hundred options. */
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
    {"--fake.ready-after", NUMBER, AT(ready_after_ms), false},
    {"--fake.crash-after", NUMBER, AT(crash_after_ms), false},
    {"--fake.spam-seconds", NUMBER, AT(spam_seconds), false},
    {"--fake.no-newline", FLAG, AT(no_newline), false},
    {"--fake.ignore-stop", FLAG, AT(ignore_stop), false},
    {"--fake.spam-log", FLAG, AT(spam_log), false},
    {"--fake.spin", FLAG, AT(spin), false},
    {"--fake.fill-disk", FLAG, AT(fill_disk), false},
    {"--fake.health", TEXT, AT(health), false},
    {"--fake.fatal", TEXT, AT(fatal), false},
    {"--fake.attester", TEXT, AT(attester), false},
    {"--fake.connect", LIST, 0, false},
    {"--fake.deaf", IGNORED_FLAG, 0, false}, /* for the guest's init */
};

static const struct option *
find_option(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (len == strlen(table[i].name) && strncmp(table[i].name, name, len) == 0)
            return &table[i];
    return NULL;
}

static bool
complain(const char *what, const char *name, size_t len)
{
    fprintf(stderr, "error: %s '%.*s'\n", what, (int)(len > 64 ? 64 : len), name);
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

/* Passes over an option that has no meaning here. Only its name is printed: the value can be
 * a private key. What follows is its value unless it looks like an option. */
static void
ignore_option(int argc, char **argv, int *index)
{
    const char *arg = argv[*index];
    size_t len = strcspn(arg, "=");

    if (arg[0] != '-') {
        say("argument without a meaning here is ignored");
        return;
    }
    say("%.*s is ignored", (int)(len > 64 ? 64 : len), arg);
    if (arg[len] != '=' && *index + 1 < argc && argv[*index + 1][0] != '-')
        ++*index;
}

/* Takes the known option at *index, and its value. */
static bool
take_option(struct options *options, const struct option *option, int argc, char **argv, int *index)
{
    const char *arg = argv[*index];
    size_t len = strcspn(arg, "=");
    const char *value = arg[len] == '=' ? arg + len + 1 : NULL;

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
    for (int i = 1; i < argc; i++) {
        const struct option *option = find_option(argv[i], strcspn(argv[i], "="));

        if (option == NULL) {
            ignore_option(argc, argv, &i);
            continue;
        }
        needs_dev = needs_dev || option->needs_dev;
        if (!take_option(options, option, argc, argv, &i))
            return false;
    }
    if (needs_dev && !options->dev)
        return complain("the following required argument was not provided:", "--dev", 5);
    return check(options);
}
