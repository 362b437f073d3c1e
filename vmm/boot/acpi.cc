// SPDX-License-Identifier: BSD-2-Clause
// Source: ACPI Specification 6.4, chapter 5 (tables) and 4.8 (fixed hardware).
#include "boot/acpi.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/checked.h"
#include "boot/aml.h"
#include "boot/boot_memory.h"
#include "boot/platform.h"

namespace vmsnap::vmm {
namespace {

using namespace platform;  // NOLINT(google-build-using-namespace): this file is platform.h, in tables

constexpr std::size_t kHeaderSize = 36;
constexpr std::size_t kRsdpSize = 36;
constexpr std::size_t kFadtSize = 276;
constexpr std::size_t kFacsSize = 64;

void append(ByteVector& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <std::unsigned_integral T>
void append_le(ByteVector& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  store_le<T>(out, at, value);
}

void store_text(ByteVector& out, std::size_t offset, std::string_view text) {
  const ByteView bytes = as_byte_view(text);
  std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(offset));
}

// Makes bytes [0, size) add up to 0 modulo 256.
void set_checksum(ByteVector& table, std::size_t offset, std::size_t size) {
  std::uint8_t sum = 0;
  for (std::size_t i = 0; i < size; ++i)
    sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(table[i]));
  table[offset] = std::byte(static_cast<std::uint8_t>(-sum));
}

// A table that begins with the standard header (5.2.6).
ByteVector make_table(std::string_view signature, std::uint8_t revision, ByteView body) {
  ByteVector table(kHeaderSize);
  store_text(table, 0, signature);
  store_le<std::uint32_t>(table, 4, static_cast<std::uint32_t>(kHeaderSize + body.size()));
  store_le<std::uint8_t>(table, 8, revision);
  store_text(table, 10, "VMSNAP");
  store_text(table, 16, "SNAPVMM ");
  store_le<std::uint32_t>(table, 24, 1);  // OEM revision
  store_text(table, 28, "VMSN");
  store_le<std::uint32_t>(table, 32, 1);  // creator revision
  append(table, body);
  set_checksum(table, 9, table.size());
  return table;
}

// Generic address structure of a block of I/O ports (5.2.3.2).
void store_io_block(ByteVector& out, std::size_t offset, std::uint16_t port, std::uint16_t size,
                    std::uint8_t access) {
  store_le<std::uint8_t>(out, offset, 1);  // system I/O
  store_le<std::uint8_t>(out, offset + 1, static_cast<std::uint8_t>(size * 8));
  store_le<std::uint8_t>(out, offset + 3, access);  // 1: bytes, 2: words, 3: double words
  store_le<std::uint64_t>(out, offset + 4, port);
}

ByteVector build_fadt(Gpa facs, Gpa dsdt, const AcpiOptions& options) {
  constexpr std::uint16_t kNoC2 = 101;  // latencies above these mean that the state is not supported
  constexpr std::uint16_t kNoC3 = 1001;
  constexpr std::uint16_t kLegacyDevices = 1 << 0;
  constexpr std::uint16_t kHas8042 = 1 << 1;
  constexpr std::uint16_t kNoVga = 1 << 2;
  constexpr std::uint32_t kWbinvdWorks = 1 << 0;
  constexpr std::uint32_t kC1Works = 1 << 2;
  constexpr std::uint32_t kNoFixedSleepButton = 1 << 5;
  constexpr std::uint32_t kNoFixedRtcWake = 1 << 6;
  constexpr std::uint32_t kTimerHas32Bits = 1 << 8;

  // Offsets are those of the specification, which count the header.
  ByteVector fadt(kFadtSize);
  store_le<std::uint32_t>(fadt, 36, static_cast<std::uint32_t>(facs.value()));
  store_le<std::uint32_t>(fadt, 40, static_cast<std::uint32_t>(dsdt.value()));
  store_le<std::uint16_t>(fadt, 46, kSciIrq);
  store_le<std::uint32_t>(fadt, 56, kPm1aEventPort);
  store_le<std::uint32_t>(fadt, 64, kPm1aControlPort);
  store_le<std::uint32_t>(fadt, 76, kPmTimerPort);
  store_le<std::uint8_t>(fadt, 88, kPm1aEventSize);
  store_le<std::uint8_t>(fadt, 89, kPm1aControlSize);
  store_le<std::uint8_t>(fadt, 91, kPmTimerSize);
  store_le<std::uint16_t>(fadt, 96, kNoC2);
  store_le<std::uint16_t>(fadt, 98, kNoC3);
  store_le<std::uint16_t>(fadt, 109, kLegacyDevices | kHas8042 | kNoVga);
  store_le<std::uint32_t>(fadt, 112,
                          kWbinvdWorks | kC1Works | kNoFixedSleepButton | kNoFixedRtcWake | kTimerHas32Bits);
  store_le<std::uint8_t>(fadt, 131, 4);  // minor version: 6.4
  store_le<std::uint64_t>(fadt, 140, dsdt.value());
  store_io_block(fadt, 148, kPm1aEventPort, kPm1aEventSize, 2);
  store_io_block(fadt, 172, kPm1aControlPort, kPm1aControlSize, 2);
  store_io_block(fadt, 208, kPmTimerPort, kPmTimerSize, 3);
  if (options.general_purpose_events) {
    store_le<std::uint32_t>(fadt, 80, kGpe0Port);
    store_le<std::uint8_t>(fadt, 92, kGpe0Size);
    store_io_block(fadt, 220, kGpe0Port, kGpe0Size, 1);
  }
  return make_table("FACP", 6, ByteView(fadt).subspan(kHeaderSize));
}

// The FACS has no checksum and its own short header (5.2.10).
ByteVector build_facs() {
  ByteVector facs(kFacsSize);
  store_text(facs, 0, "FACS");
  store_le<std::uint32_t>(facs, 4, kFacsSize);
  store_le<std::uint8_t>(facs, 32, 2);  // version
  return facs;
}

ByteVector source_override(std::uint32_t isa_irq, std::uint32_t gsi, std::uint16_t flags) {
  ByteVector entry;
  append_le<std::uint8_t>(entry, 2);
  append_le<std::uint8_t>(entry, 10);
  append_le<std::uint8_t>(entry, 0);  // ISA
  append_le<std::uint8_t>(entry, static_cast<std::uint8_t>(isa_irq));
  append_le<std::uint32_t>(entry, gsi);
  append_le<std::uint16_t>(entry, flags);
  return entry;
}

ByteVector build_madt(std::uint32_t vcpu_count) {
  constexpr std::uint16_t kAsTheBusSays = 0;
  constexpr std::uint16_t kLevelActiveHigh = 0x000d;
  ByteVector body;
  append_le<std::uint32_t>(body, static_cast<std::uint32_t>(kLapicBase.value()));
  append_le<std::uint32_t>(body, 1);  // there are two 8259s
  for (std::uint32_t id = 0; id < vcpu_count; ++id) {
    append_le<std::uint8_t>(body, 0);  // local APIC
    append_le<std::uint8_t>(body, 8);
    append_le<std::uint8_t>(body, static_cast<std::uint8_t>(id));  // processor UID
    append_le<std::uint8_t>(body, static_cast<std::uint8_t>(id));  // APIC ID
    append_le<std::uint32_t>(body, 1);                             // enabled
  }
  append_le<std::uint8_t>(body, 1);  // I/O APIC
  append_le<std::uint8_t>(body, 12);
  append_le<std::uint8_t>(body, kIoApicId);
  append_le<std::uint8_t>(body, 0);
  append_le<std::uint32_t>(body, static_cast<std::uint32_t>(kIoApicBase.value()));
  append_le<std::uint32_t>(body, 0);  // its first GSI
  append(body, source_override(kPitIrq, kPitIoApicPin, kAsTheBusSays));
  append(body, source_override(kSciIrq, kSciIrq, kLevelActiveHigh));
  append_le<std::uint8_t>(body, 4);  // local APIC NMI
  append_le<std::uint8_t>(body, 6);
  append_le<std::uint8_t>(body, 0xff);  // of all processors
  append_le<std::uint16_t>(body, kAsTheBusSays);
  append_le<std::uint8_t>(body, 1);  // LINT1
  return make_table("APIC", 5, body);
}

// _PRT: {slot and any function, pin, no link device, GSI} (6.2.13).
ByteVector build_interrupt_routing() {
  std::vector<ByteVector> entries;
  for (std::uint32_t slot = 0; slot < kPciSlots; ++slot) {
    for (std::uint32_t pin = 1; pin <= 4; ++pin) {
      entries.push_back(aml::package({aml::integer(slot << 16 | 0xffff), aml::integer(pin - 1),
                                      aml::integer(0), aml::integer(pci_intx_gsi(slot, pin))}));
    }
  }
  return aml::package(entries);
}

ByteVector build_dsdt() {
  const ByteVector pci = aml::device(
      "PCI0",
      aml::concat({
          aml::name("_HID", aml::eisa_id("PNP0A03")),
          aml::name("_UID", aml::integer(0)),
          aml::name("_BBN", aml::integer(0)),
          aml::name(
              "_CRS",
              aml::resource_template({
                  aml::bus_window(0, 0),
                  aml::io_ports(kPciConfigAddressPort, static_cast<std::uint8_t>(kPciConfigSize)),
                  aml::io_window(kPciIoBase, static_cast<std::uint16_t>(kPciIoBase + kPciIoSize - 1)),
                  aml::memory_window(static_cast<std::uint32_t>(kPciMmioBase.value()),
                                     static_cast<std::uint32_t>(kPciMmioBase.value() + kPciMmioSize - 1)),
              })),
          aml::name("_PRT", build_interrupt_routing()),
      }));
  const ByteVector com1 =
      aml::device("COM1", aml::concat({
                              aml::name("_HID", aml::eisa_id("PNP0501")),
                              aml::name("_UID", aml::integer(1)),
                              aml::name("_CRS", aml::resource_template({aml::io_ports(kCom1Port, kCom1Size),
                                                                        aml::irq(kCom1Irq)})),
                          }));
  const ByteVector rtc = aml::device(
      "RTC_",
      aml::concat({
          aml::name("_HID", aml::eisa_id("PNP0B00")),
          aml::name("_CRS", aml::resource_template({aml::io_ports(kRtcPort, kRtcSize), aml::irq(kRtcIrq)})),
      }));
  const ByteVector soft_off =
      aml::package({aml::integer(kSleepTypeS5), aml::integer(0), aml::integer(0), aml::integer(0)});
  return make_table(
      "DSDT", 2,
      aml::concat({aml::scope("\\_SB", aml::concat({pci, com1, rtc})), aml::name("\\_S5", soft_off)}));
}

ByteVector build_rsdp(Gpa xsdt) {
  ByteVector rsdp(kRsdpSize);
  store_text(rsdp, 0, "RSD PTR ");
  store_text(rsdp, 9, "VMSNAP");
  store_le<std::uint8_t>(rsdp, 15, 2);  // revision
  store_le<std::uint32_t>(rsdp, 20, kRsdpSize);
  store_le<std::uint64_t>(rsdp, 24, xsdt.value());
  set_checksum(rsdp, 8, 20);
  set_checksum(rsdp, 32, kRsdpSize);
  return rsdp;
}

}  // namespace

Result<Gpa> write_acpi_tables(const GuestMemory& memory, std::uint32_t vcpu_count,
                              const AcpiOptions& options) {
  if (vcpu_count == 0 || vcpu_count > kMaxAcpiVcpus) {
    return Error(ErrorKind::kUsage,
                 fmt::format("a machine has 1 to {} virtual CPUs, not {}; choose a number in "
                             "that range",
                             kMaxAcpiVcpus, vcpu_count));
  }
  // 64 bytes is what the FACS demands; the others need less. The RSDP goes first, where it is searched for.
  std::uint64_t next = kAcpiTablesBase.value() + align_up<std::uint64_t>(kRsdpSize, 64);
  ByteVector image(next - kAcpiTablesBase.value());
  const auto place = [&](const ByteVector& table) {
    const Gpa address(next);
    append(image, table);
    image.resize(align_up<std::size_t>(image.size(), 64));
    next = kAcpiTablesBase.value() + image.size();
    return address;
  };
  const Gpa facs = place(build_facs());
  const Gpa dsdt = place(build_dsdt());
  const Gpa fadt = place(build_fadt(facs, dsdt, options));
  const Gpa madt = place(build_madt(vcpu_count));
  ByteVector entries;
  append_le<std::uint64_t>(entries, fadt.value());
  append_le<std::uint64_t>(entries, madt.value());
  const Gpa xsdt = place(make_table("XSDT", 1, entries));
  const ByteVector rsdp = build_rsdp(xsdt);
  std::copy(rsdp.begin(), rsdp.end(), image.begin());
  if (image.size() > kAcpiTablesLimit) {
    return Error(ErrorKind::kInternal, "the ACPI tables do not fit below 1 MiB; please report this");
  }
  VMSNAP_RETURN_IF_ERROR(boot::put(memory, kAcpiTablesBase, image, "the ACPI tables"));
  return kAcpiTablesBase;
}

}  // namespace vmsnap::vmm
