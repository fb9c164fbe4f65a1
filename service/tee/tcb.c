/* SPDX-License-Identifier: MIT */
/* Security versions; see tcb.h. */
#include "tcb.h"

#include "error.h"
#include "names.h"
#include "sizes.h"

#define SHOWN_MAX 80

static const char *const names[] = {"fmc", "bootloader", "tee", "snp", "microcode", NULL};

/* The byte of TCB_VERSION that each part is, by generation (AMD 56860, TCB_VERSION). */
static const gint8 milan_bytes[] = {-1, 0, 1, 6, 7};
static const gint8 turin_bytes[] = {0, 1, 2, 3, 7};

const char *
kh_tcb_part_name(KhTcbPart part)
{
    return names[part];
}

KhTcb
kh_tcb_none(void)
{
    KhTcb tcb;

    for (int i = 0; i < KH_N_TCB_PARTS; i++)
        tcb.part[i] = KH_TCB_NONE;
    return tcb;
}

KhTcb
kh_tcb_decode(const guint8 raw[8], KhProduct product)
{
    const gint8 *bytes = kh_product_is_turin_like(product) ? turin_bytes : milan_bytes;
    KhTcb tcb = kh_tcb_none();

    for (int i = 0; i < KH_N_TCB_PARTS; i++)
        if (bytes[i] >= 0)
            tcb.part[i] = raw[bytes[i]];
    return tcb;
}

gboolean
kh_tcb_equal(const KhTcb *a, const KhTcb *b)
{
    for (int i = 0; i < KH_N_TCB_PARTS; i++)
        if (a->part[i] != b->part[i])
            return FALSE;
    return TRUE;
}

gboolean
kh_tcb_is_at_least(const KhTcb *tcb, const KhTcb *least)
{
    for (int i = 0; i < KH_N_TCB_PARTS; i++)
        if (tcb->part[i] < least->part[i])
            return FALSE;
    return TRUE;
}

char *
kh_tcb_format(const KhTcb *tcb)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (int i = 0; i < KH_N_TCB_PARTS; i++)
        if (tcb->part[i] != KH_TCB_NONE)
            g_string_append_printf(text, "%s%s %d", text->len > 0 ? ", " : "", names[i],
                                   tcb->part[i]);
    return g_strdup(text->len > 0 ? text->str : "none");
}

static int
part_of_name(const char *name)
{
    for (int i = 0; i < KH_N_TCB_PARTS; i++)
        if (g_str_equal(names[i], name))
            return i;
    return -1;
}

static gboolean
parse_part(const char *item, const char *what, KhTcb *tcb, GError **error)
{
    g_auto(GStrv) pair = g_strsplit(item, "=", 2);
    g_autofree char *shown = kh_text_sanitize(item, SHOWN_MAX);
    guint64 number;
    int part;

    if (g_strv_length(pair) != 2)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "%s has \"%s\"; it must be PART=NUMBER, separated by commas", what,
                            shown);
    part = part_of_name(g_strstrip(pair[0]));
    if (part < 0 || tcb->part[part] != KH_TCB_NONE)
        return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT,
                            "%s has \"%s\"%s: parts are fmc, bootloader, tee, snp and microcode",
                            what, shown, part < 0 ? ", which is unknown" : " twice");
    if (!kh_number_parse(g_strstrip(pair[1]), what, 0, 255, &number, error))
        return FALSE;
    tcb->part[part] = (gint16)number;
    return TRUE;
}

gboolean
kh_tcb_parse(const char *text, const char *what, KhTcb *tcb, GError **error)
{
    g_auto(GStrv) items = g_strsplit(text, ",", KH_N_TCB_PARTS + 1);

    *tcb = kh_tcb_none();
    for (guint i = 0; items[i] != NULL; i++)
        if (!parse_part(items[i], what, tcb, error))
            return FALSE;
    if (items[0] != NULL)
        return TRUE;
    return kh_error_set(error, KH_ERROR_INVALID_ARGUMENT, "%s is empty", what);
}
