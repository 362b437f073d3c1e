// SPDX-License-Identifier: BSD-2-Clause
#include "console.h"

#include "io.h"

enum { kCom1 = 0x3f8 };

void console_start(void) {
  out8(kCom1 + 3, 0x80);  // DLAB
  out8(kCom1 + 0, 1);     // 115200
  out8(kCom1 + 1, 0);
  out8(kCom1 + 3, 0x03);  // 8N1
  out8(kCom1 + 2, 0xc1);  // FIFOs on, trigger level 14
  out8(kCom1 + 4, 0x0b);  // DTR, RTS, OUT2
  out8(kCom1 + 7, 0x5a);  // scratch
}

static void put(char c) {
  while ((in8(kCom1 + 5) & 0x20) == 0) {
  }
  out8(kCom1, (uint8_t)c);
}

void print(const char* text) {
  for (; *text != 0; ++text) {
    if (*text == '\n') put('\r');
    put(*text);
  }
}

void print_number(uint32_t number) {
  char digits[11];
  int at = 10;
  digits[at] = 0;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number != 0);
  print(digits + at);
}

void print_hex(uint64_t number) {
  int shift = 60;
  while (shift > 0 && (number >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) put("0123456789abcdef"[(number >> shift) & 15]);
}

void complain(const char* what, uint64_t is, uint64_t should_be) {
  print("bad ");
  print(what);
  print(" is ");
  print_hex(is);
  print(" not ");
  print_hex(should_be);
  print("\n");
}

void expect(const char* what, uint64_t is, uint64_t should_be) {
  if (is != should_be) complain(what, is, should_be);
}
