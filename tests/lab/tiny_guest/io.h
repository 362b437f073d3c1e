// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <stdint.h>

static inline void out8(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void out16(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static inline void out32(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static inline uint8_t in8(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline uint32_t in32(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline uint64_t read_msr(uint32_t index) {
  uint64_t value;
  __asm__ volatile("rdmsr" : "=A"(value) : "c"(index));
  return value;
}
static inline void write_msr(uint32_t index, uint64_t value) { __asm__ volatile("wrmsr" : : "c"(index), "A"(value)); }
static inline void wait_for_interrupt(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }

// Device memory, by its address.
static inline volatile uint32_t* word_at(uintptr_t address) { return (volatile uint32_t*)address; }
static inline volatile uint16_t* half_at(uintptr_t address) { return (volatile uint16_t*)address; }
static inline volatile uint8_t* byte_at(uintptr_t address) { return (volatile uint8_t*)address; }
