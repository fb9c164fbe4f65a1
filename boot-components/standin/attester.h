/* SPDX-License-Identifier: MIT */
/*
 * Signs reports as a processor of AMD would, with a key and of a machine that a test brings
 * in one argument. Nothing of it is trusted by anybody who was not told to. Used by quote.c
 * and main.c.
 */
#ifndef STANDIN_ATTESTER_H
#define STANDIN_ATTESTER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>

#define REPORT_SIZE 1184
#define REPORT_DATA_SIZE 64

struct attester {
    EVP_PKEY *key;
    uint8_t report[REPORT_SIZE]; /* all but report data and signature */
};

/*
 * Reads "product=…:key=…:measurement=…:chip=…:tcb=…:policy=…", each once, in any order: milan,
 * genoa or turin; a private key on P-384, 48 bytes; 48 bytes; 64 bytes; 8 bytes as they lie in
 * a report; 8 bytes, the first the highest. All but the product in hexadecimal digits. False:
 * it is not that.
 */
bool attester_open(struct attester *attester, const char *text);
void attester_close(struct attester *attester);

/* False where libcrypto fails. */
bool attester_report(const struct attester *attester, const uint8_t data[REPORT_DATA_SIZE],
                     uint8_t report[REPORT_SIZE]);

#endif
