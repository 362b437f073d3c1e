// SPDX-License-Identifier: BSD-2-Clause
// Where things are in the machine: the numbers that the ACPI tables tell the guest and that the devices
// and the machine must therefore use too. All addresses are guest physical, all sizes are bytes.
#pragma once

#include <cstdint>

#include "base/gpa.h"
#include "core/guest_memory.h"

namespace vmsnap::vmm::platform {

// Legacy devices at the places of the IBM PC/AT.

/// First 16550 UART.
inline constexpr std::uint16_t kCom1Port = 0x3f8;
inline constexpr std::uint16_t kCom1Size = 8;
inline constexpr std::uint32_t kCom1Irq = 4;

/// Keyboard controller: data and command/status; the ports between them belong to others.
inline constexpr std::uint16_t kI8042DataPort = 0x60;
inline constexpr std::uint16_t kI8042CommandPort = 0x64;
inline constexpr std::uint32_t kI8042KeyboardIrq = 1;

/// MC146818: index and data.
inline constexpr std::uint16_t kRtcPort = 0x70;
inline constexpr std::uint16_t kRtcSize = 2;
inline constexpr std::uint32_t kRtcIrq = 8;

/// The 8254's channel 0 is ISA interrupt 0, which is input 0 of the PIC but input 2 of the I/O APIC, as on
/// every PC (the MADT has the source override). The default GSI routing of KVM leads GSI 0 to I/O APIC
/// input 0 instead, so the machine must set its own: GSI 0 to PIC 0 and I/O APIC kPitIoApicPin, GSI 2 to
/// nothing, every other GSI n < 16 to PIC n and I/O APIC n, 16 to 23 to the I/O APIC alone.
inline constexpr std::uint32_t kPitIrq = 0;
inline constexpr std::uint32_t kPitIoApicPin = 2;

// ACPI fixed hardware (ACPI 6.4, 4.8.3). There is no SMI command port: the machine is always in ACPI mode,
// so SCI_EN (PM1_CNT bit 0) reads as 1.

inline constexpr std::uint16_t kPm1aEventPort = 0x600;  // PM1_STS, PM1_EN
inline constexpr std::uint16_t kPm1aEventSize = 4;
inline constexpr std::uint16_t kPm1aControlPort = 0x604;  // PM1_CNT
inline constexpr std::uint16_t kPm1aControlSize = 2;
inline constexpr std::uint16_t kPmTimerPort = 0x608;  // 32-bit counter at 3.579545 MHz
inline constexpr std::uint16_t kPmTimerSize = 4;
inline constexpr std::uint16_t kGpe0Port = 0x60c;  // GPE0_STS, GPE0_EN
inline constexpr std::uint16_t kGpe0Size = 4;
/// The four blocks above as one range of ports.
inline constexpr std::uint16_t kAcpiPmPort = kPm1aEventPort;
inline constexpr std::uint16_t kAcpiPmSize = 0x10;
/// System control interrupt: level, active high.
inline constexpr std::uint32_t kSciIrq = 9;
/// SLP_TYP that means soft off (S5) when written with SLP_EN.
inline constexpr std::uint8_t kSleepTypeS5 = 5;

// Interrupt controllers.

inline constexpr Gpa kLapicBase{0xfee00000};
inline constexpr Gpa kIoApicBase{0xfec00000};
/// The identification the I/O APIC has after reset.
inline constexpr std::uint8_t kIoApicId = 0;
inline constexpr std::uint32_t kIoApicPins = 24;

// PCI bus 0 (PCI Local Bus Specification 3.0, 3.2.2.3.2: configuration mechanism #1).

inline constexpr std::uint16_t kPciConfigAddressPort = 0xcf8;
inline constexpr std::uint16_t kPciConfigDataPort = 0xcfc;
inline constexpr std::uint16_t kPciConfigSize = 8;
inline constexpr std::uint32_t kPciSlots = 32;

/// Windows in which BARs may be placed, by us or by the guest. Nothing else of ours is inside.
inline constexpr std::uint16_t kPciIoBase = 0xc000;
inline constexpr std::uint32_t kPciIoSize = 0x4000;
inline constexpr Gpa kPciMmioBase{GuestMemory::kLowMemoryLimit};
inline constexpr std::uint64_t kPciMmioSize = kIoApicBase.value() - kPciMmioBase.value();

/// INTx goes to I/O APIC inputs that no ISA interrupt uses, so lines are shared only by slots that are
/// eight apart. They have no PIC input: a guest without I/O APIC support has MSI-X or nothing.
inline constexpr std::uint32_t kPciIntxFirstGsi = 16;
inline constexpr std::uint32_t kPciIntxGsis = 8;

/// The GSI of interrupt pin `pin` (1 is INTA, 4 is INTD, as in the configuration register) of `slot`.
/// Level, active high (KVM's I/O APIC delivers by the level alone).
[[nodiscard]] constexpr std::uint32_t pci_intx_gsi(std::uint32_t slot, std::uint32_t pin) {
  return kPciIntxFirstGsi + (slot + pin - 1) % kPciIntxGsis;
}

// Addresses above the PCI windows that are neither RAM nor ours to give: KVM puts its TSS and identity map
// here (only used by hosts that run real mode in software).

inline constexpr Gpa kKvmIdentityMapBase{0xfffbc000};
inline constexpr Gpa kKvmTssBase{0xfffbd000};

// Guest memory below 1 MiB, as the boot code lays it out. The E820 table says RAM up to kLowRamEnd; the
// rest up to 1 MiB is reserved, although it is backed by RAM.

inline constexpr Gpa kLowRamEnd{0xa0000};
inline constexpr Gpa kHighRamStart{0x100000};
/// The ACPI tables; the RSDP is the first of them and thus where guests search for it.
inline constexpr Gpa kAcpiTablesBase{0xe0000};
inline constexpr std::uint64_t kAcpiTablesLimit = 0x20000;

}  // namespace vmsnap::vmm::platform
