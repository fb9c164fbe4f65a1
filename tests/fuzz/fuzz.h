/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target is: one function that takes any bytes, and aborts on what must not be.
 * libFuzzer calls it (tests/fuzz/run), and so does corpus-runner.c with the corpus.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
