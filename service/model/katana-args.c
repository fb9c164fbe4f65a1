/* SPDX-License-Identifier: MIT */
/* Katana's arguments; see katana-args.h. */
#include "katana-args.h"

#include <string.h>

#define SECRET_MIN 8 /* shorter words are not secret, and are in other words */
#define REDACTED "[redacted]"

/* What an argument tells besides its option's name; NULL for nothing that is secret. */
static const char *
secret_of(const char *arg)
{
    const char *equals = strchr(arg, '=');
    const char *value = arg[0] != '-' ? arg : equals != NULL ? equals + 1 : "";

    return strlen(value) >= SECRET_MIN ? value : NULL;
}

static int
compare_lengths_down(gconstpointer a, gconstpointer b)
{
    gsize first = strlen(*(const char *const *)a), second = strlen(*(const char *const *)b);

    return first < second ? 1 : first > second ? -1 : 0;
}

/* The longest first: one can be the beginning of another, whose end would be left. */
static GPtrArray *
secrets_of(const KhConfig *config)
{
    GPtrArray *secrets = g_ptr_array_new();

    for (guint i = 0; config->katana_args[i] != NULL; i++)
        if (secret_of(config->katana_args[i]) != NULL)
            g_ptr_array_add(secrets, (gpointer)secret_of(config->katana_args[i]));
    g_ptr_array_sort(secrets, compare_lengths_down);
    return secrets;
}

/* @text was cut off, perhaps within the secret; takes off what it has of it. */
static void
redact_end(GString *text, const char *secret)
{
    for (gsize n = MIN(strlen(secret), text->len); n >= SECRET_MIN; n--)
        if (memcmp(text->str + text->len - n, secret, n) == 0) {
            g_string_truncate(text, text->len - n);
            g_string_append(text, REDACTED);
            return;
        }
}

char *
kh_config_redact(const KhConfig *config, const char *text)
{
    g_autoptr(GPtrArray) secrets = secrets_of(config);
    GString *redacted = g_string_new(text);

    for (guint i = 0; i < secrets->len; i++) {
        g_string_replace(redacted, secrets->pdata[i], REDACTED, 0);
        redact_end(redacted, secrets->pdata[i]);
    }
    return g_string_free(redacted, FALSE);
}

/* Katana's option --tee, by itself or with its value. */
static gboolean
names_attester(const KhConfig *config)
{
    for (guint i = 0; config->katana_args[i] != NULL; i++)
        if (g_str_equal(config->katana_args[i], "--tee") ||
            g_str_has_prefix(config->katana_args[i], "--tee="))
            return TRUE;
    return FALSE;
}

char **
kh_config_guest_args(const KhConfig *config)
{
    g_autoptr(GStrvBuilder) args = g_strv_builder_new();
    g_autofree char *accounts = g_strdup_printf("%u", config->accounts);
    g_autofree char *block_time = g_strdup_printf("%" G_GUINT64_FORMAT, config->block_time);

    if (config->dev)
        g_strv_builder_add(args, "--dev");
    if (config->accounts > 0)
        g_strv_builder_add_many(args, "--dev.accounts", accounts, NULL);
    if (config->no_fee)
        g_strv_builder_add(args, "--dev.no-fee");
    if (config->block_time > 0)
        g_strv_builder_add_many(args, "--block-time", block_time, NULL);
    if (config->chain_id[0] != '\0')
        g_strv_builder_add_many(args, "--chain-id", config->chain_id, NULL);
    if (config->tee && !names_attester(config))
        g_strv_builder_add(args, "--tee=sev-snp");
    g_strv_builder_addv(args, config->katana_args);
    return g_strv_builder_end(args);
}
