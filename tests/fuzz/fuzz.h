/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target is: one function that takes any bytes, and aborts on what must not be.
 * libFuzzer calls it (tests/fuzz/run), and so does corpus-runner.c with the corpus; both call
 * the other function before, which is the same for all targets.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
