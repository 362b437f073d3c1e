// SPDX-License-Identifier: BSD-2-Clause
// virtio-blk at 00:03.0, by one split queue and MSI-X (Virtual I/O Device 1.2, 2.7, 4.1, 5.2).
#pragma once

#include <stdint.h>

enum { kDiskVector = 0x42 };

// 1 when there is a disk and it works.
int disk_start(void);
// Writes a pattern that depends on `number` to a sector, reads it back and complains if it differs.
void disk_check(uint32_t number);
// The registers that the guest has written are as it left them.
void disk_check_registers(void);
