// SPDX-License-Identifier: BSD-2-Clause
#include "boot/acpi.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "boot/aml.h"
#include "boot/platform.h"
#include "images.h"

namespace vmsnap::vmm {
namespace {

std::uint8_t sum_of(ByteView bytes) {
  std::uint8_t sum = 0;
  for (const std::byte byte : bytes)
    sum = static_cast<std::uint8_t>(sum + std::to_integer<std::uint8_t>(byte));
  return sum;
}

class Acpi : public testing::Test {
 protected:
  void write(std::uint32_t vcpus, const AcpiOptions& options = {}) {
    const auto rsdp = write_acpi_tables(memory_, vcpus, options);
    ASSERT_TRUE(rsdp) << rsdp.error().to_string();
    rsdp_ = rsdp->value();
  }

  ByteView table_at(std::uint64_t address) {
    return bytes_at(memory_, address, value_at<std::uint32_t>(memory_, address + 4));
  }

  /// The table that the XSDT lists under `signature`.
  ByteView table(std::string_view signature) {
    const ByteView xsdt = table_at(value_at<std::uint64_t>(memory_, rsdp_ + 24));
    for (std::size_t at = 36; at + 8 <= xsdt.size(); at += 8) {
      const auto address = load_le<std::uint64_t>(xsdt, at);
      if (text_at(memory_, address, 4) == signature) return table_at(address);
    }
    ADD_FAILURE() << "there is no table " << signature;
    return {};
  }

  bool dsdt_contains(ByteView bytes) {
    const ByteView dsdt = table_at(load_le<std::uint64_t>(table("FACP"), 140));
    return std::search(dsdt.begin(), dsdt.end(), bytes.begin(), bytes.end()) != dsdt.end();
  }

  GuestMemory memory_ = memory_of(2 * kMiB);
  std::uint64_t rsdp_ = 0;
};

TEST_F(Acpi, TheRsdpIsWhereGuestsSearchAndEveryChecksumHolds) {
  write(2);
  EXPECT_GE(rsdp_, 0xe0000u);
  EXPECT_LT(rsdp_, 0x100000u);
  EXPECT_EQ(rsdp_ % 16, 0u);
  EXPECT_EQ(text_at(memory_, rsdp_, 8), "RSD PTR ");
  EXPECT_EQ(sum_of(bytes_at(memory_, rsdp_, 20)), 0);
  EXPECT_EQ(sum_of(bytes_at(memory_, rsdp_, 36)), 0);
  const auto xsdt = value_at<std::uint64_t>(memory_, rsdp_ + 24);
  EXPECT_EQ(text_at(memory_, xsdt, 4), "XSDT");
  EXPECT_EQ(sum_of(table_at(xsdt)), 0);
  EXPECT_EQ(sum_of(table("FACP")), 0);
  EXPECT_EQ(sum_of(table("APIC")), 0);
  EXPECT_EQ(sum_of(table_at(load_le<std::uint64_t>(table("FACP"), 140))), 0);
}

TEST_F(Acpi, TheFadtDescribesTheFixedHardwareOfThePlatform) {
  write(1);
  const ByteView fadt = table("FACP");
  ASSERT_EQ(fadt.size(), 276u);
  EXPECT_EQ(load_le<std::uint16_t>(fadt, 46), 9);
  EXPECT_EQ(load_le<std::uint32_t>(fadt, 48), 0u) << "no SMI command port";
  EXPECT_EQ(load_le<std::uint32_t>(fadt, 56), 0x600u);
  EXPECT_EQ(load_le<std::uint32_t>(fadt, 64), 0x604u);
  EXPECT_EQ(load_le<std::uint32_t>(fadt, 76), 0x608u);
  EXPECT_EQ(load_le<std::uint8_t>(fadt, 88), 4);
  EXPECT_EQ(load_le<std::uint8_t>(fadt, 89), 2);
  EXPECT_EQ(load_le<std::uint8_t>(fadt, 91), 4);
  EXPECT_EQ(load_le<std::uint16_t>(fadt, 109) & 3, 3) << "legacy devices and the 8042";
  EXPECT_EQ(load_le<std::uint32_t>(fadt, 112) & (1u << 20), 0u) << "not hardware-reduced";
  EXPECT_EQ(load_le<std::uint32_t>(fadt, 40), load_le<std::uint64_t>(fadt, 140))
      << "both pointers to the DSDT";
  EXPECT_EQ(load_le<std::uint64_t>(fadt, 148 + 4), 0x600u);
  EXPECT_EQ(load_le<std::uint64_t>(fadt, 172 + 4), 0x604u);
  EXPECT_EQ(load_le<std::uint64_t>(fadt, 208 + 4), 0x608u);
  const auto facs = load_le<std::uint32_t>(fadt, 36);
  EXPECT_EQ(facs % 64, 0u);
  EXPECT_EQ(text_at(memory_, facs, 4), "FACS");
  EXPECT_EQ(value_at<std::uint32_t>(memory_, facs + 4), 64u);
}

TEST_F(Acpi, TheFadtHasGeneralPurposeEventsOnlyWhenTheMachineHas) {
  write(1);
  const ByteView with = table("FACP");
  EXPECT_EQ(load_le<std::uint32_t>(with, 80), 0x60cu);
  EXPECT_EQ(load_le<std::uint8_t>(with, 92), 4) << "status and enable of 16 events";
  EXPECT_EQ(load_le<std::uint64_t>(with, 220 + 4), 0x60cu);
  EXPECT_EQ(load_le<std::uint8_t>(with, 220), 1) << "system I/O";
  EXPECT_EQ(load_le<std::uint8_t>(with, 220 + 1), 32) << "bits";
  write(1, {.general_purpose_events = false});
  const ByteView without = table("FACP");
  EXPECT_EQ(load_le<std::uint32_t>(without, 80), 0u);
  EXPECT_EQ(load_le<std::uint8_t>(without, 92), 0);
  EXPECT_EQ(load_le<std::uint64_t>(without, 220 + 4), 0u);
  EXPECT_EQ(sum_of(without), 0);
}

TEST_F(Acpi, TheMadtListsEveryProcessorTheIoApicAndTheOverrides) {
  write(3);
  const ByteView madt = table("APIC");
  EXPECT_EQ(load_le<std::uint32_t>(madt, 36), 0xfee00000u);
  EXPECT_EQ(load_le<std::uint32_t>(madt, 40), 1u);
  std::vector<std::uint8_t> apic_ids;
  std::vector<std::pair<std::uint8_t, std::uint32_t>> overrides;
  int io_apics = 0;
  int nmis = 0;
  std::size_t at = 44;
  while (at < madt.size()) {
    const auto type = load_le<std::uint8_t>(madt, at);
    const auto size = load_le<std::uint8_t>(madt, at + 1);
    ASSERT_GT(size, 0);
    ASSERT_LE(at + size, madt.size());
    if (type == 0) {
      apic_ids.push_back(load_le<std::uint8_t>(madt, at + 3));
      EXPECT_EQ(load_le<std::uint32_t>(madt, at + 4), 1u);
    }
    if (type == 1) {
      ++io_apics;
      EXPECT_EQ(load_le<std::uint32_t>(madt, at + 4), 0xfec00000u);
      EXPECT_EQ(load_le<std::uint32_t>(madt, at + 8), 0u);
    }
    if (type == 2) {
      overrides.emplace_back(load_le<std::uint8_t>(madt, at + 3), load_le<std::uint32_t>(madt, at + 4));
      if (overrides.back().first == 9) {
        EXPECT_EQ(load_le<std::uint16_t>(madt, at + 8), 0x000d) << "the SCI is level, active high";
      }
    }
    if (type == 4) {
      ++nmis;
      EXPECT_EQ(load_le<std::uint8_t>(madt, at + 2), 0xff);
      EXPECT_EQ(load_le<std::uint8_t>(madt, at + 5), 1);
    }
    at += size;
  }
  EXPECT_EQ(apic_ids, (std::vector<std::uint8_t>{0, 1, 2}));
  EXPECT_EQ(io_apics, 1);
  EXPECT_EQ(nmis, 1);
  EXPECT_EQ(overrides, (std::vector<std::pair<std::uint8_t, std::uint32_t>>{{0, 2}, {9, 9}}));
}

TEST_F(Acpi, TheDsdtRoutesEveryPinOfEverySlotAsThePlatformSays) {
  write(1);
  for (std::uint32_t slot = 0; slot < platform::kPciSlots; ++slot) {
    for (std::uint32_t pin = 1; pin <= 4; ++pin) {
      EXPECT_TRUE(
          dsdt_contains(aml::package({aml::integer(slot << 16 | 0xffff), aml::integer(pin - 1),
                                      aml::integer(0), aml::integer(platform::pci_intx_gsi(slot, pin))})))
          << slot << " " << pin;
    }
  }
}

TEST_F(Acpi, TheDsdtHasTheBridgeTheSerialPortTheClockAndSoftOff) {
  write(1);
  for (const std::string_view id : {"PNP0A03", "PNP0501", "PNP0B00"})
    EXPECT_TRUE(dsdt_contains(aml::eisa_id(id))) << id;
  EXPECT_TRUE(dsdt_contains(aml::memory_window(0xc0000000, 0xfebfffff)));
  EXPECT_TRUE(
      dsdt_contains(aml::name("\\_S5", aml::package({aml::integer(platform::kSleepTypeS5), aml::integer(0),
                                                     aml::integer(0), aml::integer(0)}))));
}

TEST_F(Acpi, AsManyProcessorsAsApicIdentifiersFitAndNoMore) {
  write(kMaxAcpiVcpus);
  EXPECT_EQ(sum_of(table("APIC")), 0);
  for (const std::uint32_t vcpus : {0u, kMaxAcpiVcpus + 1}) {
    const auto refused = write_acpi_tables(memory_, vcpus);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  }
}

TEST_F(Acpi, AGuestWithoutMemoryThereIsRefused) {
  const GuestMemory tiny = memory_of(0xe0000);
  const auto refused = write_acpi_tables(tiny, 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  EXPECT_NE(refused.error().message().find("ACPI"), std::string::npos);
}

TEST(Platform, InterruptPinsGoToTheEightInputsThatNoIsaDeviceUses) {
  for (std::uint32_t slot = 0; slot < platform::kPciSlots; ++slot) {
    for (std::uint32_t pin = 1; pin <= 4; ++pin) {
      EXPECT_GE(platform::pci_intx_gsi(slot, pin), 16u);
      EXPECT_LT(platform::pci_intx_gsi(slot, pin), platform::kIoApicPins);
    }
  }
  EXPECT_NE(platform::pci_intx_gsi(1, 1), platform::pci_intx_gsi(2, 1));
  EXPECT_EQ(platform::pci_intx_gsi(3, 1), 19u);
}

}  // namespace
}  // namespace vmsnap::vmm
