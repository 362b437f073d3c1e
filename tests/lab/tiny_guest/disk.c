// SPDX-License-Identifier: BSD-2-Clause
#include "disk.h"

#include "console.h"
#include "io.h"

enum { kSlot = 3, kQueueSize = 16, kSectorSize = 512, kBars = 0xd0000000u };

struct Descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags;
  uint16_t next;
};
static struct Descriptor descriptors[kQueueSize] __attribute__((aligned(4096)));
static volatile uint16_t available[3 + kQueueSize] __attribute__((aligned(4096)));
static volatile struct {
  uint16_t flags, index;
  struct {
    uint32_t id, length;
  } ring[kQueueSize];
} used __attribute__((aligned(4096)));
static struct {
  uint32_t type, reserved;
  uint64_t sector;
} request;
static volatile uint8_t request_status;
static uint32_t data[kSectorSize / 4];

static uintptr_t common, notify, device_config, msix_table;
static uint32_t notify_multiplier;
static uint16_t sent;
static volatile uint32_t interrupts;

static void select(uint32_t offset) { out32(0xcf8, 0x80000000u | kSlot << 11 | (offset & 0xfc)); }
static uint32_t config32(uint32_t offset) {
  select(offset);
  return in32(0xcfc);
}
static void set_config32(uint32_t offset, uint32_t value) {
  select(offset);
  out32(0xcfc, value);
}
static uint8_t config8(uint32_t offset) { return (uint8_t)(config32(offset) >> (offset & 3) * 8); }

static uintptr_t bar_address(uint32_t bar) { return kBars + bar * 0x10000u; }

static void find_structures(void) {
  for (uint32_t at = config8(0x34); at != 0; at = config8(at + 1)) {
    const uint8_t id = config8(at);
    if (id == 0x11) {
      const uint32_t table = config32(at + 4);
      msix_table = bar_address(table & 7) + (table & ~7u);
      set_config32(at, config32(at) | 0x80000000u);  // MSI-X enable
    } else if (id == 0x09) {
      const uintptr_t address = bar_address(config8(at + 4)) + config32(at + 8);
      switch (config8(at + 3)) {
        case 1: common = address; break;
        case 2:
          notify = address;
          notify_multiplier = config32(at + 16);
          break;
        case 4: device_config = address; break;
        default: break;
      }
    }
  }
}

static void set64(uintptr_t address, const volatile void* value) {
  *word_at(address) = (uint32_t)(uintptr_t)value;
  *word_at(address + 4) = 0;
}

int disk_start(void) {
  if ((config32(0) & 0xffff) != 0x1af4) return 0;
  for (uint32_t bar = 0; bar < 6; ++bar) {
    const uint32_t kind = config32(0x10 + bar * 4);
    set_config32(0x10 + bar * 4, 0xffffffffu);
    if (config32(0x10 + bar * 4) == 0 || (kind & 1) != 0) continue;
    set_config32(0x10 + bar * 4, (uint32_t)bar_address(bar));
    if ((kind & 4) != 0) set_config32(0x10 + ++bar * 4, 0);
  }
  set_config32(4, config32(4) | 0x0406);  // memory, bus master, no INTx
  find_structures();
  if (common == 0 || notify == 0 || msix_table == 0) return 0;
  *word_at(msix_table + 0) = 0xfee00000;
  *word_at(msix_table + 4) = 0;
  *word_at(msix_table + 8) = kDiskVector;
  *word_at(msix_table + 12) = 0;

  *byte_at(common + 20) = 0;
  *byte_at(common + 20) = 1 | 2;
  *word_at(common + 8) = 1;   // driver_feature_select
  *word_at(common + 12) = 1;  // VIRTIO_F_VERSION_1
  *byte_at(common + 20) = 1 | 2 | 8;
  if ((*byte_at(common + 20) & 8) == 0) return 0;
  *half_at(common + 16) = 0xffff;      // config_msix_vector
  *half_at(common + 22) = 0;           // queue_select
  *half_at(common + 24) = kQueueSize;  // queue_size
  *half_at(common + 26) = 0;           // queue_msix_vector
  set64(common + 32, descriptors);
  set64(common + 40, available);
  set64(common + 48, &used);
  *half_at(common + 28) = 1;
  *byte_at(common + 20) = 1 | 2 | 4 | 8;
  return 1;
}

void disk_interrupt(void) {
  ++interrupts;
  *word_at(0xfee000b0) = 0;
}

static void transfer(uint32_t type, uint32_t sector) {
  request.type = type;
  request.sector = sector;
  request_status = 0xff;
  descriptors[0] = (struct Descriptor){(uintptr_t)&request, 16, 1, 1};
  descriptors[1] = (struct Descriptor){(uintptr_t)data, kSectorSize, (uint16_t)(1 | (type == 0 ? 2 : 0)), 2};
  descriptors[2] = (struct Descriptor){(uintptr_t)&request_status, 1, 2, 0};
  available[2 + sent % kQueueSize] = 0;
  __asm__ volatile("" : : : "memory");
  const uint32_t before = interrupts;
  available[1] = ++sent;
  __asm__ volatile("lock; addl $0, (%%esp)" : : : "memory");
  const uint16_t offset = *half_at(common + 30);
  *half_at(notify + offset * notify_multiplier) = 0;
  while (used.index != sent || interrupts == before) wait_for_interrupt();
  expect("disk status", request_status, 0);
}

void disk_check(uint32_t number) {
  const uint32_t sector = number % 64;
  for (uint32_t i = 0; i < kSectorSize / 4; ++i) data[i] = number * 2654435761u + i;
  transfer(1, sector);
  for (uint32_t i = 0; i < kSectorSize / 4; ++i) data[i] = 0;
  transfer(0, sector);
  for (uint32_t i = 0; i < kSectorSize / 4; ++i) {
    if (data[i] != number * 2654435761u + i) complain("disk word", data[i], number * 2654435761u + i);
  }
}

void disk_check_registers(void) {
  expect("disk command", config32(4) & 0x0406, 0x0406);
  expect("disk queue size", *half_at(common + 24), kQueueSize);
  expect("disk descriptor table", *word_at(common + 32), (uintptr_t)descriptors);
  expect("disk device status", *byte_at(common + 20), 1 | 2 | 4 | 8);
  expect("disk MSI-X data", *word_at(msix_table + 8), kDiskVector);
}
