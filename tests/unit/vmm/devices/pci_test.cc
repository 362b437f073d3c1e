// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "core/io_bus.h"
#include "devices/pci/msix.h"
#include "devices/pci/pci_function.h"
#include "devices/pci/pci_host.h"
#include "devices/pci/pci_registers.h"
#include "fakes.h"
#include "pci_generated.h"
#include "pci_host_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace pci;
using namespace testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Recorder final : public IoHandler {
 public:
  void read(std::uint64_t offset, MutableByteView data) override {
    store_le(data, 0, static_cast<std::uint32_t>(offset));
  }
  void write(std::uint64_t, ByteView) override {}
};

constexpr PciFunction::Identity kIdentity = {.vendor = 0x1234,
                                             .device = 0x5678,
                                             .revision = 9,
                                             .class_code = 0x010203,
                                             .subsystem_vendor = 0xabcd,
                                             .subsystem = 0xef01,
                                             .interrupt_pin = 1};
constexpr std::size_t kBar0 = kBars;
constexpr std::size_t kBar2 = kBars + 8;
constexpr std::size_t kBar4 = kBars + 16;

/// A function with one BAR of each kind, a vendor capability and MSI-X.
struct Fixture {
  Fixture() : function(kIdentity, &memory, &io, &irq) {
    function.add_bar(0, BarKind::kMemory32, 0x1000, memory32);
    function.add_bar(2, BarKind::kMemory64, 0x4000, memory64);
    function.add_bar(4, BarKind::kIo, 0x20, ports);
    const std::array<std::byte, 4> body = {std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    const std::array<std::byte, 4> mask = {std::byte{0}, std::byte{0xff}, std::byte{0}, std::byte{0x0f}};
    vendor = function.add_capability(kCapabilityVendor, body, mask);
    function.add_msix(3, msi, 0, 0x100, 0x800);
    msix = load_le<std::uint8_t>(config(), vendor + std::size_t{1});
  }
  [[nodiscard]] std::array<std::byte, 256> config() const {
    std::array<std::byte, 256> bytes;
    function.config_read(0, bytes);
    return bytes;
  }
  template <typename T>
  [[nodiscard]] T get(std::size_t offset) const {
    T value = 0;
    function.config_read(static_cast<std::uint8_t>(offset), std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void put(std::size_t offset, T value) {
    function.config_write(static_cast<std::uint8_t>(offset), std::as_bytes(std::span(&value, 1)));
  }

  IoBus memory;
  IoBus io;
  FakeIrqLine irq;
  FakeMsiSink msi;
  Recorder memory32;
  Recorder memory64;
  Recorder ports;
  PciFunction function;
  std::uint8_t vendor = 0;
  std::uint8_t msix = 0;
};

std::uint32_t read32(const IoBus& bus, std::uint64_t address) {
  std::uint32_t value = 0;
  bus.read(address, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

TEST(PciFunction, ShowsItsIdentityAndKeepsIt) {
  Fixture f;
  const auto before = f.config();
  for (std::size_t i = 0; i < 256; i += 4) {
    if (i == kCommand || (i >= kBars && i < kBars + 24)) continue;
    f.put<std::uint32_t>(i, 0xffff'ffff);
  }
  EXPECT_EQ(f.get<std::uint32_t>(kVendorId), 0x5678'1234U);
  EXPECT_EQ(f.get<std::uint32_t>(kRevisionAndClass), 0x0102'0309U);
  EXPECT_EQ(f.get<std::uint32_t>(kSubsystemVendorId), 0xef01'abcdU);
  EXPECT_EQ(f.get<std::uint8_t>(kInterruptPin), 1);
  EXPECT_EQ(f.get<std::uint8_t>(kInterruptLine), 0xff);
  EXPECT_EQ(f.get<std::uint8_t>(kHeaderType), 0);
  EXPECT_EQ(f.config()[kCapabilitiesPointer], before[kCapabilitiesPointer]);
}

TEST(PciFunction, ChainsItsCapabilities) {
  Fixture f;
  EXPECT_EQ(f.get<std::uint8_t>(kStatus) & kStatusCapabilities, kStatusCapabilities);
  EXPECT_EQ(f.get<std::uint8_t>(kCapabilitiesPointer), f.vendor);
  EXPECT_EQ(f.get<std::uint8_t>(f.vendor), kCapabilityVendor);
  EXPECT_EQ(f.get<std::uint8_t>(f.msix), kCapabilityMsix);
  EXPECT_EQ(f.get<std::uint8_t>(f.msix + 1U), 0);
  EXPECT_EQ(f.get<std::uint16_t>(f.msix + 2U), 2);  // table size minus one
  EXPECT_EQ(f.get<std::uint32_t>(f.msix + 4U), 0x100U);
  EXPECT_EQ(f.get<std::uint32_t>(f.msix + 8U), 0x800U);
}

TEST(PciFunction, LetsTheGuestWriteOnlyTheBitsOfTheMask) {
  Fixture f;
  f.put<std::uint32_t>(f.vendor + 2U, 0xffff'ffff);
  EXPECT_EQ(f.get<std::uint32_t>(f.vendor + 2U), 0x0f03'ff01U);
}

TEST(PciFunction, AnswersBarSizing) {
  Fixture f;
  for (const std::size_t bar : {kBar0, kBar2, kBar2 + 4, kBar4}) f.put<std::uint32_t>(bar, 0xffff'ffff);
  EXPECT_EQ(f.get<std::uint32_t>(kBar0), 0xffff'f000U);
  EXPECT_EQ(f.get<std::uint32_t>(kBar2), 0xffff'c004U);
  EXPECT_EQ(f.get<std::uint32_t>(kBar2 + 4), 0xffff'ffffU);
  EXPECT_EQ(f.get<std::uint32_t>(kBar4), 0xffff'ffe1U);
  f.put<std::uint32_t>(kBars + 4, 0xffff'ffff);  // not implemented
  EXPECT_EQ(f.get<std::uint32_t>(kBars + 4), 0U);
}

TEST(PciFunction, DecodesItsBarsOnlyWhileEnabled) {
  Fixture f;
  f.put<std::uint32_t>(kBar0, 0xd000'0000);
  EXPECT_EQ(read32(f.memory, 0xd000'0010), 0xffff'ffffU);
  f.put<std::uint16_t>(kCommand, kCommandMemory);
  EXPECT_EQ(read32(f.memory, 0xd000'0010), 0x10U);
  EXPECT_EQ(f.function.decoded_at(0), 0xd000'0000U);
  f.put<std::uint32_t>(kBar0, 0xd100'0000);
  EXPECT_EQ(read32(f.memory, 0xd000'0010), 0xffff'ffffU);
  EXPECT_EQ(read32(f.memory, 0xd100'0020), 0x20U);
  f.put<std::uint16_t>(kCommand, kCommandIo);
  EXPECT_EQ(read32(f.memory, 0xd100'0020), 0xffff'ffffU);
  f.put<std::uint32_t>(kBar4, 0xc000);
  EXPECT_EQ(read32(f.io, 0xc004), 4U);
}

TEST(PciFunction, PlacesA64BitBarAbove4GiB) {
  Fixture f;
  f.put<std::uint16_t>(kCommand, kCommandMemory);
  f.put<std::uint32_t>(kBar2, 0x8000);
  f.put<std::uint32_t>(kBar2 + 4, 0x12);
  EXPECT_EQ(f.function.decoded_at(2), 0x12'0000'8000U);
  EXPECT_EQ(read32(f.memory, 0x12'0000'8004), 4U);
}

TEST(PciFunction, LeavesABarInAnothersRangeUndecoded) {
  Fixture f;
  Recorder other;
  ASSERT_TRUE(f.memory.add(0xd000'0800, 0x10, other));
  f.put<std::uint16_t>(kCommand, kCommandMemory);
  f.put<std::uint32_t>(kBar0, 0xd000'0000);
  EXPECT_EQ(f.function.decoded_at(0), std::nullopt);
  EXPECT_EQ(read32(f.memory, 0xd000'0804), 4U);
  f.put<std::uint32_t>(kBar2, 0xffff'ffff);
  f.put<std::uint32_t>(kBar2 + 4, 0xffff'ffff);  // the last 16 KiB of the address space
  f.put<std::uint32_t>(kBar0, 0xd000'2000);
  EXPECT_EQ(f.function.decoded_at(0), 0xd000'2000U);
}

TEST(PciFunction, LeavesTheBusesWhenItGoes) {
  IoBus memory;
  Recorder handler;
  {
    PciFunction function(kIdentity, &memory, nullptr, nullptr);
    function.add_bar(0, BarKind::kMemory32, 0x1000, handler);
    const std::array<std::byte, 4> address = {std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0xd0}};
    const std::array<std::byte, 2> command = {std::byte{kCommandMemory}, std::byte{0}};
    function.config_write(kBars, address);
    function.config_write(kCommand, command);
    EXPECT_EQ(read32(memory, 0xd000'0004), 4U);
  }
  EXPECT_EQ(read32(memory, 0xd000'0004), 0xffff'ffffU);
}

TEST(PciFunction, DrivesItsPinUnlessDisabled) {
  Fixture f;
  f.function.set_intx(true);
  EXPECT_TRUE(f.irq.level());
  EXPECT_EQ(f.get<std::uint8_t>(kStatus) & kStatusInterrupt, kStatusInterrupt);
  f.put<std::uint16_t>(kCommand, kCommandIntxDisable);
  EXPECT_FALSE(f.irq.level());
  EXPECT_EQ(f.get<std::uint8_t>(kStatus) & kStatusInterrupt, kStatusInterrupt);
  f.put<std::uint16_t>(kCommand, 0);
  EXPECT_TRUE(f.irq.level());
  f.function.set_intx(false);
  EXPECT_FALSE(f.irq.level());
}

TEST(Msix, SendsUnmaskedVectorsAndKeepsMaskedOnesPending) {
  Fixture f;
  Msix& msix = *f.function.msix();
  const std::uint64_t address = 0xfee0'1000;
  msix.write_table(0, std::as_bytes(std::span(&address, 1)));
  const std::uint32_t data = 0x31;
  msix.write_table(8, std::as_bytes(std::span(&data, 1)));
  msix.raise(0);
  EXPECT_THAT(f.msi.messages(), IsEmpty());  // MSI-X is off
  f.put<std::uint16_t>(f.msix + 2U, kMsixEnable);
  msix.raise(0);
  std::uint64_t pending = 0;
  msix.read_pba(0, std::as_writable_bytes(std::span(&pending, 1)));
  EXPECT_EQ(pending, 1U);
  const std::uint32_t unmask = 0;
  msix.write_table(12, std::as_bytes(std::span(&unmask, 1)));
  EXPECT_THAT(f.msi.messages(), ElementsAre(FakeMsiSink::Message{address, data}));
  msix.read_pba(0, std::as_writable_bytes(std::span(&pending, 1)));
  EXPECT_EQ(pending, 0U);
  f.put<std::uint16_t>(f.msix + 2U, kMsixEnable | kMsixFunctionMask);
  msix.raise(0);
  EXPECT_EQ(f.msi.messages().size(), 1U);
  f.put<std::uint16_t>(f.msix + 2U, kMsixEnable);
  EXPECT_EQ(f.msi.messages().size(), 2U);
  msix.raise(0);
  msix.raise(3);
  msix.raise(0xffff);
  EXPECT_EQ(f.msi.messages().size(), 3U);
}

TEST(Msix, AllowsOnlyWholeAlignedDwords) {
  Fixture f;
  Msix& msix = *f.function.msix();
  const std::uint16_t narrow = 0xffff;
  msix.write_table(8, std::as_bytes(std::span(&narrow, 1)));
  const std::uint64_t wide = ~std::uint64_t{0};
  msix.write_table(4, std::as_bytes(std::span(&wide, 1)));
  msix.write_table(48, std::as_bytes(std::span(&wide, 1)));  // behind the end
  std::uint64_t value = 1;
  msix.read_table(48, std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(value, 0U);
  msix.read_table(8, std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(value, std::uint64_t{1} << 32);  // still data 0, masked
  msix.write_table(0, std::as_bytes(std::span(&wide, 1)));
  msix.read_table(0, std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(value, ~std::uint64_t{3});
}

TEST(PciFunctionState, ComesBackWithBarsPinAndVectors) {
  Fixture f;
  f.put<std::uint32_t>(kBar0, 0xd000'0000);
  f.put<std::uint16_t>(kCommand, kCommandMemory);
  f.put<std::uint16_t>(f.msix + 2U, kMsixEnable);
  f.function.msix()->raise(1);
  f.function.set_intx(true);
  const schema::PciFunctionT state = f.function.save();

  Fixture other;
  auto restored = other.function.validate(state);
  ASSERT_TRUE(restored) << restored.error().to_string();
  EXPECT_EQ(other.function.decoded_at(0), std::nullopt);
  other.function.assign(std::move(*restored));
  EXPECT_EQ(other.function.decoded_at(0), 0xd000'0000U);
  EXPECT_TRUE(other.irq.level());
  EXPECT_TRUE(other.function.msix_enabled());
  EXPECT_EQ(other.config(), f.config());
  EXPECT_EQ(other.function.save().msix->pending, state.msix->pending);
  const std::uint32_t unmask = 0;
  other.function.msix()->write_table(16 + 12, std::as_bytes(std::span(&unmask, 1)));
  EXPECT_EQ(other.msi.messages().size(), 1U);
}

TEST(PciFunctionState, MovesItsBarsFromWhereTheyWere) {
  Fixture f;
  const schema::PciFunctionT nowhere = f.function.save();
  f.put<std::uint32_t>(kBar0, 0xd000'0000);
  f.put<std::uint16_t>(kCommand, kCommandMemory);
  f.function.assign(std::move(*f.function.validate(nowhere)));
  EXPECT_EQ(f.function.decoded_at(0), std::nullopt);
  EXPECT_EQ(read32(f.memory, 0xd000'0004), 0xffff'ffffU);
}

TEST(PciFunctionState, RefusesWhatDoesNotFitTheFunction) {
  Fixture f;
  const auto refused = [&f](auto change, ErrorKind kind, const char* field) {
    SCOPED_TRACE(field);
    schema::PciFunctionT state = f.function.save();
    change(state);
    const auto result = f.function.validate(state);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), kind) << result.error().to_string();
    EXPECT_EQ(result.error().field(), field) << result.error().to_string();
  };
  using State = schema::PciFunctionT;
  refused([](State& s) { s.config_space.resize(255); }, ErrorKind::kCorrupt, "pci.config_space");
  refused([](State& s) { s.config_space.resize(4096); }, ErrorKind::kCorrupt, "pci.config_space");
  refused([](State& s) { s.config_space[kDeviceId] ^= 1; }, ErrorKind::kUnsupported, "pci.config_space");
  refused([](State& s) { s.config_space[kCapabilitiesPointer] = 0x50; }, ErrorKind::kUnsupported,
          "pci.config_space");
  refused([](State& s) { s.config_space[kBar0] = 0x04; }, ErrorKind::kUnsupported, "pci.config_space");
  refused([](State& s) { s.bars[0]->size *= 2; }, ErrorKind::kUnsupported, "pci.bars");
  refused([](State& s) { s.bars[0]->kind = static_cast<schema::PciBarKind>(77); }, ErrorKind::kUnsupported,
          "pci.bars");
  refused([](State& s) { s.bars.pop_back(); }, ErrorKind::kUnsupported, "pci.bars");
  refused([](State& s) { s.msix.reset(); }, ErrorKind::kCorrupt, "pci.msix");
  refused([](State& s) { s.msix->table.pop_back(); }, ErrorKind::kCorrupt, "pci.msix.table");
  refused([](State& s) { s.msix->pending.clear(); }, ErrorKind::kCorrupt, "pci.msix.pending");
  refused([](State& s) { s.msix->pending[0] = 8; }, ErrorKind::kCorrupt, "pci.msix.pending");
  refused([](State& s) { s.msix->table[0]->address = 1; }, ErrorKind::kCorrupt, "pci.msix.table.address");
  refused([](State& s) { s.msix->table[0]->vector_control = 2; }, ErrorKind::kCorrupt,
          "pci.msix.table.vector_control");
}

class ConfigRecorder final : public PciConfigHandler {
 public:
  void config_read(std::uint8_t offset, MutableByteView data) override {
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::byte(offset + i);
  }
  void config_write(std::uint8_t offset, ByteView data) override { writes.emplace_back(offset, data.size()); }
  std::vector<std::pair<std::uint8_t, std::size_t>> writes;
};

class PciHostTest : public ::testing::Test {
 protected:
  schema::PciHostT state() { return unpacked<schema::PciHost>(saved(host), "PCIH"); }
  static ByteVector packed(const schema::PciHostT& state) { return *pack_state(state, "PCIH"); }
  PciHost host;
};

TEST_F(PciHostTest, ShowsAHostBridgeThroughMechanismOne) {
  out<std::uint32_t>(host, 0, 0x8000'0000);
  EXPECT_EQ(in<std::uint32_t>(host, 0), 0x8000'0000U);
  EXPECT_EQ(in<std::uint32_t>(host, 4), 0x1237'8086U);
  out<std::uint32_t>(host, 0, 0x8000'0008);
  EXPECT_EQ(in<std::uint32_t>(host, 4) >> 8, 0x060000U);
  EXPECT_EQ(in<std::uint8_t>(host, 7), 0x06);
}

TEST_F(PciHostTest, IgnoresNarrowAccessesToItsAddressPort) {
  out<std::uint32_t>(host, 0, 0x8000'0000);
  out<std::uint8_t>(host, 3, 0x01);
  EXPECT_EQ(in<std::uint32_t>(host, 0), 0x8000'0000U);
  EXPECT_EQ(in<std::uint8_t>(host, 0), 0xff);
}

TEST_F(PciHostTest, PassesAccessesToTheFunctionThatIsAddressed) {
  ConfigRecorder function;
  ASSERT_TRUE(host.attach({3, 1}, function));
  out<std::uint32_t>(host, 0, 0x8000'1940);
  EXPECT_EQ(in<std::uint32_t>(host, 4), 0x4342'4140U);
  EXPECT_EQ(in<std::uint16_t>(host, 6), 0x4342);
  out<std::uint8_t>(host, 5, 0);
  EXPECT_THAT(function.writes, ElementsAre(std::pair<std::uint8_t, std::size_t>{0x41, 1}));
}

TEST_F(PciHostTest, ReadsAllOnesWhereNothingIs) {
  for (const std::uint32_t address : {0x8000'0800U, 0x8001'0000U, 0x0000'0000U}) {
    out<std::uint32_t>(host, 0, address);
    EXPECT_EQ(in<std::uint32_t>(host, 4), 0xffff'ffffU);
  }
  out<std::uint32_t>(host, 0, 0x8000'0000);
  EXPECT_EQ(in<std::uint64_t>(host, 0), ~std::uint64_t{0});
  EXPECT_EQ(in<std::uint32_t>(host, 6), 0xffff'ffffU);
}

TEST_F(PciHostTest, RefusesAPlaceThatIsTakenOrDoesNotExist) {
  ConfigRecorder function;
  EXPECT_FALSE(host.attach({0, 0}, function));
  EXPECT_FALSE(host.attach({32, 0}, function));
  EXPECT_FALSE(host.attach({1, 8}, function));
  EXPECT_TRUE(host.attach({1, 7}, function));
  EXPECT_FALSE(host.attach({1, 7}, function));
}

TEST_F(PciHostTest, SavesAndRestoresItsRegisters) {
  out<std::uint32_t>(host, 0, 0xffff'ffff);
  EXPECT_EQ(state().config_address, 0x80ff'fffcU);
  out<std::uint32_t>(host, 0, 0x8000'003c);
  out<std::uint8_t>(host, 4, 0x0b);
  const ByteVector first = saved(host);
  PciHost other;
  ASSERT_TRUE(other.restore(first));
  EXPECT_EQ(saved(other), first);
  EXPECT_EQ(in<std::uint8_t>(other, 4), 0x0b);
}

TEST_F(PciHostTest, RefusesWhatDoesNotFit) {
  schema::PciHostT bad = state();
  bad.config_address = 1;
  expect_refused(host, packed(bad), ErrorKind::kCorrupt, "config_address");
  bad = state();
  bad.function->config_space[0] = 0;
  expect_refused(host, packed(bad), ErrorKind::kUnsupported, "pci.config_space");
  bad = state();
  bad.function->msix = std::make_unique<schema::PciMsixT>();
  expect_refused(host, packed(bad), ErrorKind::kCorrupt, "pci.msix");
}

TEST_F(PciHostTest, SurvivesDamagedStates) {
  expect_survives_damage(host);
}

TEST_F(PciHostTest, NamesItselfByItsPlace) {
  EXPECT_EQ(host.describe().path, "pci0/00:00.0");
  EXPECT_EQ(host.describe().type, "pci_host");
  EXPECT_EQ(pci_path({31, 7}), "pci0/00:1f.7");
}

}  // namespace
}  // namespace vmsnap::vmm
