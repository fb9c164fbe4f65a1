/* SPDX-License-Identifier: MIT */
/*
 * The security versions of a processor's firmware: of a report (TCB_VERSION), of a
 * certificate (its SPL extensions), or the least that somebody asks for.
 */
#pragma once

#include "product.h"

G_BEGIN_DECLS

typedef enum {
    KH_TCB_FMC,
    KH_TCB_BOOT_LOADER,
    KH_TCB_TEE,
    KH_TCB_SNP,
    KH_TCB_MICROCODE,
} KhTcbPart;

#define KH_N_TCB_PARTS (KH_TCB_MICROCODE + 1)
#define KH_TCB_NONE (-1)

/* Each part 0 to 255, or KH_TCB_NONE where there is no such part or nothing is asked of it. */
typedef struct {
    gint16 part[KH_N_TCB_PARTS];
} KhTcb;

/* "fmc", "bootloader", "tee", "snp", "microcode"; static. */
const char *kh_tcb_part_name(KhTcbPart part);

/* All parts KH_TCB_NONE. */
KhTcb kh_tcb_none(void);

/* Of the eight bytes as they stand in a report of @product. */
KhTcb kh_tcb_decode(const guint8 raw[8], KhProduct product);

/* Whether all parts are the same. */
gboolean kh_tcb_equal(const KhTcb *a, const KhTcb *b);

/* Whether @tcb has each part that @least has, none of them smaller. */
gboolean kh_tcb_is_at_least(const KhTcb *tcb, const KhTcb *least);

/* "bootloader 4, tee 0, snp 24, microcode 219"; transfer full. */
char *kh_tcb_format(const KhTcb *tcb);

/*
 * Reads "bootloader=4,snp=24": one part or more, none twice, each 0 to 255. @what names it in
 * the KH_ERROR_INVALID_ARGUMENT.
 */
gboolean kh_tcb_parse(const char *text, const char *what, KhTcb *tcb, GError **error);

G_END_DECLS
