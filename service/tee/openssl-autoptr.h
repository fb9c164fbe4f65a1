/* SPDX-License-Identifier: MIT */
/* g_autoptr() for what libcrypto allocates. Private to this folder. */
#pragma once

#include <glib.h>
#include <openssl/evp.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD, EVP_MD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
