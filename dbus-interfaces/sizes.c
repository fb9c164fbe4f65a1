/* SPDX-License-Identifier: MIT */
/* Parsing and printing of sizes and numbers. See sizes.h. */
#include "sizes.h"

#include "error.h"
#include "names.h"

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

/* "12" or "1.5": the whole number is returned apart so that no digit of it is rounded. */
static gboolean
parse_decimal(const char *text, const char **rest, guint64 *whole, double *fraction)
{
    const char *p = text;
    double scale = 0.1;

    if (!g_ascii_isdigit(*p))
        return FALSE;
    for (*whole = 0; g_ascii_isdigit(*p); p++)
        if (!g_uint64_checked_mul(whole, *whole, 10) ||
            !g_uint64_checked_add(whole, *whole, (guint64)(*p - '0')))
            return FALSE;
    *fraction = 0;
    if (*p == '.') {
        if (!g_ascii_isdigit(*++p))
            return FALSE;
        for (; g_ascii_isdigit(*p); p++, scale /= 10)
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
    if (*unit == ' ')
        unit++;
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
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "\"%s\" is no size: write a positive number with an optional unit, for example "
                "4G, 512M, 1.5GiB or 4GB",
                shown);
    return FALSE;
}

char *
kh_size_format(guint64 bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    gsize unit = 0;

    while (value >= 1024 && unit + 1 < G_N_ELEMENTS(names)) {
        value /= 1024;
        unit++;
    }
    if (value == (double)(guint64)value)
        return g_strdup_printf("%.0f %s", value, names[unit]);
    return g_strdup_printf("%.1f %s", value, names[unit]);
}

gboolean
kh_number_parse(const char *text, const char *what, guint64 min, guint64 max, guint64 *number,
                GError **error)
{
    g_autofree char *shown = NULL;

    if (g_ascii_string_to_unsigned(text, 10, min, max, number, NULL))
        return TRUE;
    shown = kh_text_sanitize(text, 40);
    g_set_error(error, KH_ERROR, KH_ERROR_INVALID_ARGUMENT,
                "\"%s\" is no valid %s: write a number from %" G_GUINT64_FORMAT
                " to %" G_GUINT64_FORMAT,
                shown, what, min, max);
    return FALSE;
}
