/* SPDX-License-Identifier: MIT */
/* The chain of page digests; see launch-digest.h. */
#include "launch-digest.h"

#include <string.h>

#include "error.h"
#include "openssl-autoptr.h"

/* PAGE_INFO of SNP_LAUNCH_UPDATE (AMD publication 56860): what is hashed for each page. */
enum {
    CURRENT = 0x00,  /* the digest so far */
    CONTENTS = 0x30, /* that of the page; zeros where it is not measured */
    LENGTH = 0x60,   /* u16, of this structure; then type, IMI and the VMPLs' permissions */
    TYPE = 0x62,
    GPA = 0x68,
    INFO_SIZE = 0x70,
};

/* Where the firmware pretends that every VMSA lies. */
#define VMSA_GPA G_GUINT64_CONSTANT(0xfffffffff000)

struct _KhLaunchDigest {
    EVP_MD *sha384;
    EVP_MD_CTX *context;
    guint8 value[KH_LAUNCH_DIGEST_SIZE];
    gboolean failed;
};

static gboolean
no_sha384(GError **error)
{
    return kh_error_set(error, KH_ERROR_FAILED,
                        "libcrypto cannot compute SHA-384; look at its configuration");
}

KhLaunchDigest *
kh_launch_digest_new(GError **error)
{
    g_autoptr(KhLaunchDigest) self = g_new0(KhLaunchDigest, 1);

    self->sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    self->context = EVP_MD_CTX_new();
    if (self->sha384 != NULL && self->context != NULL)
        return g_steal_pointer(&self);
    no_sha384(error);
    return NULL;
}

void
kh_launch_digest_free(KhLaunchDigest *self)
{
    EVP_MD_CTX_free(self->context);
    EVP_MD_free(self->sha384);
    g_free(self);
}

void
kh_launch_digest_set(KhLaunchDigest *self, const guint8 value[KH_LAUNCH_DIGEST_SIZE])
{
    memcpy(self->value, value, KH_LAUNCH_DIGEST_SIZE);
}

const guint8 *
kh_launch_digest_peek(KhLaunchDigest *self)
{
    return self->value;
}

static void
hash(KhLaunchDigest *self, const guint8 *bytes, gsize n, guint8 digest[KH_LAUNCH_DIGEST_SIZE])
{
    if (!EVP_DigestInit_ex2(self->context, self->sha384, NULL) ||
        !EVP_DigestUpdate(self->context, bytes, n) ||
        !EVP_DigestFinal_ex(self->context, digest, NULL))
        self->failed = TRUE;
}

/* @contents NULL: not measured. */
static void
extend(KhLaunchDigest *self, KhPageType type, guint64 gpa, const guint8 *contents)
{
    guint8 info[INFO_SIZE] = {0};
    guint16 length = GUINT16_TO_LE(INFO_SIZE);
    guint64 address = GUINT64_TO_LE(gpa);

    memcpy(info + CURRENT, self->value, KH_LAUNCH_DIGEST_SIZE);
    if (contents != NULL)
        memcpy(info + CONTENTS, contents, KH_LAUNCH_DIGEST_SIZE);
    memcpy(info + LENGTH, &length, sizeof length);
    info[TYPE] = (guint8)type;
    memcpy(info + GPA, &address, sizeof address);
    hash(self, info, INFO_SIZE, self->value);
}

void
kh_launch_digest_add_data(KhLaunchDigest *self, const guint8 *data, gsize size, guint64 gpa)
{
    guint8 contents[KH_LAUNCH_DIGEST_SIZE];

    g_assert(size % KH_PAGE_SIZE == 0);
    for (gsize done = 0; done < size; done += KH_PAGE_SIZE) {
        const guint8 *page = data + done;

        /* Much of a firmware image is filling, alike for pages on end. */
        if (done == 0 || memcmp(page, page - KH_PAGE_SIZE, KH_PAGE_SIZE) != 0)
            hash(self, page, KH_PAGE_SIZE, contents);
        extend(self, KH_PAGE_NORMAL, gpa + done, contents);
    }
}

void
kh_launch_digest_add_blank(KhLaunchDigest *self, KhPageType type, guint64 size, guint64 gpa)
{
    for (guint64 done = 0; done < size; done += KH_PAGE_SIZE)
        extend(self, type, gpa + done, NULL);
}

void
kh_launch_digest_add_vmsa(KhLaunchDigest *self, const guint8 contents[KH_LAUNCH_DIGEST_SIZE])
{
    extend(self, KH_PAGE_VMSA, VMSA_GPA, contents);
}

void
kh_launch_digest_of_page(KhLaunchDigest *self, const guint8 page[KH_PAGE_SIZE],
                         guint8 digest[KH_LAUNCH_DIGEST_SIZE])
{
    hash(self, page, KH_PAGE_SIZE, digest);
}

gboolean
kh_launch_digest_check(KhLaunchDigest *self, GError **error)
{
    return !self->failed || no_sha384(error);
}
