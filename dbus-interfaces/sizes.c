/* SPDX-License-Identifier: MIT */
/* Parsing and printing of sizes and numbers. See sizes.h. */
#include "sizes.h"

#include <string.h>

#include "error.h"
#include "names.h"

/* Nobody writes more digits before a unit. */
#define GUESSED_MAX 1000000

static const struct {
    const char *unit;
    guint64 factor;
} units[] = {
    {"", 1},
    {"B", 1},
    {"K", G_GUINT64_CONSTANT(1) << 10},
    {"KiB", G_GUINT64_CONSTANT(1) << 10},
    {"KB", 1000},
    {"M", G_GUINT64_CONSTANT(1) << 20},
    {"MiB", G_GUINT64_CONSTANT(1) << 20},
    {"MB", 1000 * 1000},
    {"G", G_GUINT64_CONSTANT(1) << 30},
    {"GiB", G_GUINT64_CONSTANT(1) << 30},
    {"GB", G_GUINT64_CONSTANT(1000000000)},
    {"T", G_GUINT64_CONSTANT(1) << 40},
    {"TiB", G_GUINT64_CONSTANT(1) << 40},
    {"TB", G_GUINT64_CONSTANT(1000000000000)},
};

static guint64
unit_factor(const char *unit)
{
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_ascii_strcasecmp(unit, units[i].unit) == 0)
            return units[i].factor;
    return 0;
}

/* Blanks that do not break a line: of many languages, before a unit and between thousands. */
static const char *const thin_blanks[] = {"\u00a0", "\u2009", "\u202f"};

/* What follows such a blank at @text; @text where there is none. */
static const char *
skip_thin_blank(const char *text)
{
    for (gsize i = 0; i < G_N_ELEMENTS(thin_blanks); i++)
        if (g_str_has_prefix(text, thin_blanks[i]))
            return text + strlen(thin_blanks[i]);
    return text;
}

static guint
count_digits(const char *text)
{
    guint n = 0;

    while (g_ascii_isdigit(text[n]))
        n++;
    return n;
}

/* "12", or "4 294 967 296" with thin blanks. */
static gboolean
parse_whole(const char *text, const char **rest, guint64 *whole)
{
    const char *p = text;

    if (!g_ascii_isdigit(*p))
        return FALSE;
    for (*whole = 0; g_ascii_isdigit(*p);) {
        if (!g_uint64_checked_mul(whole, *whole, 10) ||
            !g_uint64_checked_add(whole, *whole, (guint64)(*p++ - '0')))
            return FALSE;
        if (skip_thin_blank(p) != p && count_digits(skip_thin_blank(p)) == 3)
            p = skip_thin_blank(p);
    }
    *rest = p;
    return TRUE;
}

/*
 * "12", "1.5" or "1,5": the whole number is returned apart so that no digit of it is rounded. A
 * comma before three digits is a thousand here and a fraction there, and so is neither.
 */
static gboolean
parse_decimal(const char *text, const char **rest, guint64 *whole, double *fraction)
{
    const char *p;
    double scale = 0.1;

    *fraction = 0;
    if (!parse_whole(text, &p, whole))
        return FALSE;
    if (*p == '.' || *p == ',') {
        guint digits = count_digits(p + 1);

        if (digits == 0 || (*p == ',' && digits == 3))
            return FALSE;
        for (p++; g_ascii_isdigit(*p); p++, scale /= 10)
            *fraction += (*p - '0') * scale;
    }
    *rest = p;
    return TRUE;
}

static gboolean
size_value(const char *text, guint64 *bytes)
{
    const char *unit;
    guint64 whole, factor, total;
    double fraction;

    if (!parse_decimal(text, &unit, &whole, &fraction))
        return FALSE;
    unit = *unit == ' ' ? unit + 1 : skip_thin_blank(unit);
    factor = unit_factor(unit);
    if (factor == 0 || !g_uint64_checked_mul(&total, whole, factor))
        return FALSE;
    if (!g_uint64_checked_add(&total, total, (guint64)(fraction * (double)factor)))
        return FALSE;
    if (total == 0 || total > G_MAXINT64)
        return FALSE;
    *bytes = total;
    return TRUE;
}

gboolean
kh_size_parse(const char *text, guint64 *bytes, GError **error)
{
    g_autofree char *shown = NULL;

    if (size_value(text, bytes))
        return TRUE;
    shown = kh_text_sanitize(text, 40);
    return kh_error_set(
        error, KH_ERROR_INVALID_ARGUMENT,
        "\"%s\" is not a size: write a positive number with an optional unit, for example "
        "4G, 512M, 1.5GiB or 4GB",
        shown);
}

char *
kh_size_format(guint64 bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    char digits[G_ASCII_DTOSTR_BUF_SIZE];
    gsize unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(names)) {
        value /= 1024;
        unit++;
    }
    if (value == (double)(guint64)value)
        return g_strdup_printf("%.0f %s", value, names[unit]);
    return g_strdup_printf("%s %s", g_ascii_formatd(digits, sizeof digits, "%.1f", value),
                           names[unit]);
}

char *
kh_size_guess(guint64 number, guint64 min, guint64 max)
{
    guint64 bytes = number;

    if (number > GUESSED_MAX)
        return NULL;
    for (const char *unit = "KMGT"; *unit != '\0'; unit++) {
        bytes *= 1024;
        if (bytes >= min && bytes <= max)
            return g_strdup_printf("%" G_GUINT64_FORMAT "%c", number, *unit);
    }
    return NULL;
}

gboolean
kh_number_parse(const char *text, const char *what, guint64 min, guint64 max, guint64 *number,
                GError **error)
{
    g_autofree char *shown = NULL;

    if (g_ascii_string_to_unsigned(text, 10, min, max, number, NULL))
        return TRUE;
    shown = kh_text_sanitize(text, 40);
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                        "\"%s\" is not a valid %s: write a number from %" G_GUINT64_FORMAT
                        " to %" G_GUINT64_FORMAT,
                        shown, what, min, max);
}
