// SPDX-License-Identifier: BSD-2-Clause
// COM1, by polling.
#pragma once

#include <stdint.h>

void console_start(void);
void print(const char* text);
void print_number(uint32_t number);
void print_hex(uint64_t number);

// Says that something is not as this guest left it: "bad WHAT is X not Y".
void complain(const char* what, uint64_t is, uint64_t should_be);
// complain() if the two differ.
void expect(const char* what, uint64_t is, uint64_t should_be);
