/* SPDX-License-Identifier: MIT */
/*
 * Starknet's hashes over the Stark field, as far as a quote needs them. Written apart from
 * service/tee, so that a test in which the one makes and the other checks compares two. Used
 * by quote.c. Ends the program where there is no memory.
 */
#ifndef STANDIN_FELT_H
#define STANDIN_FELT_H

#include <stddef.h>
#include <stdint.h>

#define FELT_SIZE 32
/* "0x", 64 digits, and the end. */
#define FELT_TEXT_SIZE 67

/* Big-endian, less than the field's prime. */
struct felt {
    uint8_t bytes[FELT_SIZE];
};

struct felt felt_number(uint64_t number);

/* The prime less one. */
struct felt felt_max(void);

/* Text of at most 31 characters as one number. */
struct felt felt_short_string(const char *text);

/* "0x" and hexadecimal digits, modulo the prime. */
struct felt felt_parse(const char *text);

/* As Katana writes it: "0x" and digits without leading zeros. */
void felt_print(const struct felt *felt, char text[FELT_TEXT_SIZE]);

/* The hashes of a list of felts. */
struct felt felt_poseidon(const struct felt *felts, size_t n);
struct felt felt_pedersen(const struct felt *felts, size_t n);

#endif
