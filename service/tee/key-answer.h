/* SPDX-License-Identifier: MIT */
/*
 * What AMD's key service gives out: the name and shape of each thing, not yet its truth. Used
 * by the key service's client.
 */
#pragma once

#include "report.h"

G_BEGIN_DECLS

typedef enum {
    KH_KEY_VCEK,       /* the certificate of a chip's key at one TCB; DER */
    KH_KEY_VLEK,       /* a provider's; the service gives it to nobody else */
    KH_KEY_VCEK_CHAIN, /* ASK and ARK, PEM */
    KH_KEY_VLEK_CHAIN, /* ASVK and ARK, PEM */
    KH_KEY_VCEK_CRL,   /* DER */
    KH_KEY_VLEK_CRL,
} KhKeyKind;

typedef struct {
    KhKeyKind kind;
    KhProduct product;
    /* Of a VCEK only: as the report has them. */
    guint8 chip_id[KH_REPORT_CHIP_ID_SIZE];
    KhTcb tcb;
    gboolean fresh; /* what the cache has of it does not do */
} KhKeyItem;

/* The most bytes that an answer of @kind has. */
gsize kh_key_answer_size_max(KhKeyKind kind);

gboolean kh_key_kind_is_crl(KhKeyKind kind);

/*
 * Whether it can be asked for at all: a known product, a chip id that is not masked and fits
 * it, each part of the TCB. KH_ERROR_NOT_SUPPORTED or KH_ERROR_INVALID_ARGUMENT says why not.
 */
gboolean kh_key_item_check(const KhKeyItem *item, GError **error);

/* Of a good item: "VCEK of the Milan chip 0123456789abcdef… at …"; transfer full. */
char *kh_key_item_describe(const KhKeyItem *item);

/* Of a good item: where it is under the service's address, "/vcek/v1/…"; transfer full. */
char *kh_key_item_path(const KhKeyItem *item);

/* Of a good item: the name of its file in a cache, another one for each item; transfer full. */
char *kh_key_item_file_name(const KhKeyItem *item);

/*
 * Whether @bytes are one certificate in DER, two in PEM, or one CRL in DER with a nextUpdate,
 * as @kind has them, and nothing besides. KH_ERROR_FAILED says what they are not.
 */
gboolean kh_key_answer_check(KhKeyKind kind, GBytes *bytes, GError **error);

/* Of a CRL that has been checked: the times of this update and the next, since 1970. */
void kh_key_answer_get_updates(GBytes *crl, gint64 *this_update, gint64 *next_update);

G_END_DECLS
