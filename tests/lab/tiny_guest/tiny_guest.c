// SPDX-License-Identifier: BSD-2-Clause
// A guest that fits into a golden file: it puts something of its own into every device of the machine, then
// counts on COM1, ten times a second, and at each number looks whether all of it is still as it left it.
// What is not, it says in a line that begins with "bad".
#include "console.h"
#include "disk.h"
#include "io.h"

enum {
  kPitVector = 0x20,
  kRtcVector = 0x28,
  kLapicTimerVector = 0x40,
  kSpuriousVector = 0xff,
  kLapic = 0xfee00000u,
  kIoapic = 0xfec00000u,
  kPatternWords = 4096,
};

extern void pit_entry(void), rtc_entry(void), lapic_timer_entry(void), disk_entry(void), stray_entry(void);
extern const uint8_t second_cpu_begin[], second_cpu_end[];

static struct {
  uint16_t low, selector, kind, high;
} idt[256];
static volatile uint32_t ticks, rtc_ticks, lapic_ticks, strays;
static uint32_t pattern[kPatternWords];

void pit_interrupt(void) {
  ++ticks;
  out8(0x20, 0x20);
}

static uint8_t cmos(uint8_t index) {
  out8(0x70, index);
  return in8(0x71);
}
static void set_cmos(uint8_t index, uint8_t value) {
  out8(0x70, index);
  out8(0x71, value);
}

void rtc_interrupt(void) {
  ++rtc_ticks;
  cmos(0x0c);
  out8(0xa0, 0x20);
  out8(0x20, 0x20);
}
void lapic_timer_interrupt(void) {
  ++lapic_ticks;
  *word_at(kLapic + 0xb0) = 0;
}
void stray_interrupt(void) { ++strays; }

static void set_gate(uint8_t vector, void (*entry)(void)) {
  const uintptr_t address = (uintptr_t)entry;
  idt[vector].low = (uint16_t)address;
  idt[vector].selector = 8;
  idt[vector].kind = 0x8e00;
  idt[vector].high = (uint16_t)(address >> 16);
}

static void start_interrupts(void) {
  for (int vector = 32; vector < 256; ++vector) set_gate((uint8_t)vector, stray_entry);
  set_gate(kPitVector, pit_entry);
  set_gate(kRtcVector, rtc_entry);
  set_gate(kLapicTimerVector, lapic_timer_entry);
  set_gate(kDiskVector, disk_entry);
  struct {
    uint16_t limit;
    uint32_t base;
  } __attribute__((packed)) idtr = {sizeof idt - 1, (uint32_t)(uintptr_t)idt};
  __asm__ volatile("lidt %0" : : "m"(idtr));
  // ICW1 to ICW4, then the masks: the timer, the cascade and the clock.
  out8(0x20, 0x11), out8(0xa0, 0x11);
  out8(0x21, kPitVector), out8(0xa1, kRtcVector);
  out8(0x21, 4), out8(0xa1, 2);
  out8(0x21, 1), out8(0xa1, 1);
  out8(0x21, 0xfa), out8(0xa1, 0xfe);
}

static void start_devices(void) {
  out8(0x43, 0x34);  // counter 0, mode 2: 100 Hz
  out8(0x40, 11932 & 0xff), out8(0x40, 11932 >> 8);
  out8(0x43, 0xb6);  // counter 2, mode 3
  out8(0x42, 0x34), out8(0x42, 0x12);
  out8(0x61, 1);  // its gate
  set_cmos(0x0a, 0x2b);  // 32 Hz
  set_cmos(0x01, 0x56), set_cmos(0x03, 0x34), set_cmos(0x05, 0x12);  // alarm
  set_cmos(0x0b, 0x42);                                              // periodic interrupt, 24 hours, BCD
  for (uint8_t i = 0; i < 16; ++i) set_cmos((uint8_t)(0x40 + i), (uint8_t)(0xa0 + i));
  cmos(0x0c);
  out8(0x64, 0x60), out8(0x60, 0x64);  // i8042 command byte
  *word_at(kLapic + 0xf0) = 0x100 | kSpuriousVector;
  *word_at(kLapic + 0x80) = 0x10;  // TPR
  *word_at(kLapic + 0x350) = 0x700;  // LINT0: ExtINT
  *word_at(kLapic + 0x3e0) = 3;  // divide by 16
  *word_at(kLapic + 0x320) = 0x20000 | kLapicTimerVector;
  *word_at(kLapic + 0x380) = 5000000;
  *word_at(kIoapic) = 0x10 + 2 * 9, *word_at(kIoapic + 0x10) = 0x0001a051;  // pin 9: masked, level, low
  write_msr(0x174, 0x8);
  write_msr(0x175, 0x11111000);
  write_msr(0x176, 0x22222000);
  write_msr(0x277, 0x0007040600070106);
  write_msr(0xc0000081, 0x0023001000000000);
  write_msr(0xc0000082, 0xffffffff81000040);
  write_msr(0xc0000084, 0x47700);
  write_msr(0xc0000102, 0xffff888000001000);
}

static void check_devices(void) {
  expect("scratch register", in8(0x3ff), 0x5a);
  expect("line control", in8(0x3fb), 0x03);
  expect("primary mask", in8(0x21), 0xfa);
  expect("secondary mask", in8(0xa1), 0xfe);
  expect("port 61h", in8(0x61) & 3, 1);
  expect("RTC A", cmos(0x0a) & 0x7f, 0x2b);
  expect("RTC B", cmos(0x0b), 0x42);
  expect("alarm seconds", cmos(0x01), 0x56);
  expect("alarm minutes", cmos(0x03), 0x34);
  expect("alarm hours", cmos(0x05), 0x12);
  for (uint8_t i = 0; i < 16; ++i) expect("CMOS", cmos((uint8_t)(0x40 + i)), 0xa0u + i);
  out8(0x64, 0x20);
  expect("i8042 command byte", in8(0x60), 0x64);
  expect("SVR", *word_at(kLapic + 0xf0), 0x100 | kSpuriousVector);
  expect("TPR", *word_at(kLapic + 0x80), 0x10);
  expect("LVT timer", *word_at(kLapic + 0x320) & ~0x1000u, 0x20000 | kLapicTimerVector);
  expect("timer initial count", *word_at(kLapic + 0x380), 5000000);
  *word_at(kIoapic) = 0x10 + 2 * 9;
  expect("IOAPIC pin 9", *word_at(kIoapic + 0x10), 0x0001a051);
  expect("SYSENTER_CS", read_msr(0x174), 0x8);
  expect("SYSENTER_ESP", read_msr(0x175), 0x11111000);
  expect("SYSENTER_EIP", read_msr(0x176), 0x22222000);
  expect("PAT", read_msr(0x277), 0x0007040600070106);
  expect("STAR", read_msr(0xc0000081), 0x0023001000000000);
  expect("LSTAR", read_msr(0xc0000082), 0xffffffff81000040);
  expect("SFMASK", read_msr(0xc0000084), 0x47700);
  expect("KERNEL_GS_BASE", read_msr(0xc0000102), 0xffff888000001000);
  expect("interrupts from nowhere", strays, 0);
}

static void pause_ticks(uint32_t count) {
  const uint32_t until = ticks + count;
  while ((int32_t)(ticks - until) < 0) wait_for_interrupt();
}

// 1 when a second CPU has come up.
static uint32_t start_second_cpu(void) {
  for (uint32_t i = 0; i < (uint32_t)(second_cpu_end - second_cpu_begin); ++i) *byte_at(0x8000 + i) = second_cpu_begin[i];
  *word_at(0x9000) = 0;
  *word_at(kLapic + 0x300) = 0x000c4500;  // INIT to all others
  pause_ticks(2);
  *word_at(kLapic + 0x300) = 0x000c4608;  // SIPI, 8000h
  pause_ticks(5);
  return *word_at(0x9000);
}

void tiny_main(void) {
  console_start();
  start_interrupts();
  start_devices();
  for (uint32_t i = 0; i < kPatternWords; ++i) pattern[i] = i * 2654435761u;
  const uint32_t others = start_second_cpu();
  const int has_disk = disk_start();
  print("tiny others=");
  print_number(others);
  print(has_disk ? " disk\n" : " no-disk\n");
  for (uint32_t number = 1;; ++number) {
    const uint32_t rtc_before = rtc_ticks, lapic_before = lapic_ticks;
    pause_ticks(10);
    check_devices();
    if (has_disk) {
      disk_check(number);
      disk_check_registers();
    }
    uint32_t sum = 0;
    for (uint32_t i = 0; i < kPatternWords; ++i) sum += pattern[i] ^ i;
    pattern[number % kPatternWords] += number;
    if (number % 4 == 0 && (rtc_ticks == rtc_before || lapic_ticks == lapic_before)) {
      complain("timer interrupts", (uint64_t)(rtc_ticks - rtc_before) << 32 | (lapic_ticks - lapic_before), 0x100000001);
    }
    print("count ");
    print_number(number);
    print(" sum=");
    print_hex(sum);
    print("\n");
  }
}
