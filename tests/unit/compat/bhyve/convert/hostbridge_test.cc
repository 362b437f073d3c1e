// SPDX-License-Identifier: BSD-2-Clause
// The PCI prefix, through the chunk that is nothing else.
#include "mapping_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr std::string_view kPath = "pci0/00:00.0";

/// A configuration space of capabilities that follow each other: MSI at 40h, MSI-X at 58h.
class Space {
 public:
  Space() : bytes_(256) {}
  Space& put(std::size_t offset, std::size_t size, std::uint64_t value) {
    std::memcpy(&bytes_[offset], &value, size);
    return *this;
  }
  Space& capabilities() { return put(0x06, 2, 0x10).put(0x34, 1, 0x40); }
  Space& msi(std::uint64_t control, std::uint64_t address, std::uint64_t data) {
    put(0x40, 2, 0x5805).put(0x42, 2, control).put(0x44, 4, address);
    return put((control & 0x80) != 0 ? 0x4c : 0x48, 2, data);
  }
  Space& msix(std::uint64_t control, std::uint64_t table, std::uint64_t pending) {
    return put(0x58, 2, 0x0011).put(0x5a, 2, control).put(0x5c, 4, table).put(0x60, 4, pending);
  }
  [[nodiscard]] ByteVector bytes() const { return bytes_; }

 private:
  ByteVector bytes_;
};

Context context(Shape prefix) {
  Context context;
  context.pci_prefix = prefix;
  return context;
}

MappingRun run_of(const ItemValues& items, Shape prefix = Shape::kB) {
  return MappingRun("hostbridge", "by axes", context(prefix), items, Vendor::kIntel, std::string(kPath));
}

ItemValues full(Shape prefix) {
  Space space;
  space.put(0x00, 4, 0x12751275).capabilities();
  space.put(0x10, 4, 0x2001).put(0x14, 4, 0xc0000008).put(0x18, 4, 0x0000000c).put(0x1c, 4, 0x9);
  space.put(0x30, 4, 0xfff80001);
  space.msi(0x00b1, 0xfee01000, 0x31).msix(0xc001, 0x1001, 0x2003);
  ItemValues items = {
      {"msi.enabled", 1u},
      {"msi.addr", 0xfee01000u},
      {"msi.msg_data", 0x31u},
      {"msi.maxmsgnum", 8u},
      {"msix.enabled", 0x8000u},
      {"msix.function_mask", 0x4000u},
      {"msix.table_bar", 1u},
      {"msix.table_offset", 0x1000u},
      {"msix.pba_bar", 3u},
      {"msix.pba_offset", 0x2000u},
      {"msix.table_count", 2u},
      {"msix.pba_size", 8u},
      {"msix.table[0].addr", 0xfee0'0000'1234'5678u},
      {"msix.table[0].msg_data", 0x41u},
      {"msix.table[1].vector_control", 1u},
      {"config_space", space.bytes()},
      {"bar[0].type", 1u},
      {"bar[0].size", 0x80u},
      {"bar[0].addr", 0x2000u},
      {"bar[1].type", 2u},
      {"bar[1].size", 0x2000u},
      {"bar[1].addr", 0xc0000000u},
      {"bar[2].type", 3u},
      {"bar[2].size", 0x1'0000'0000u},
      {"bar[2].addr", 0x9'0000'0000u},
      {"bar[3].type", 4u},
  };
  if (prefix == Shape::kB) {
    items["bar[6].type"] = 5u;
    items["bar[6].size"] = 0x10000u;
    items["bar[6].addr"] = 0xfff80000u;
  }
  return items;
}

TEST(PciPrefix, GoesToTheFieldsOfThePciFunction) {
  auto run = run_of(full(Shape::kB));
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  const auto number = [&](std::string_view path) { return run.field<std::uint64_t>(kPath, path); };
  EXPECT_EQ(run.field<ByteVector>(kPath, "function.config_space"),
            std::get<ByteVector>(full(Shape::kB)["config_space"]));
  ASSERT_EQ(run.machine().find(kPath)->count("function.bars").value(), 4u);
  const std::vector<std::vector<std::uint64_t>> bars = {
      {0, 1, 0x80}, {1, 2, 0x2000}, {2, 3, 0x1'0000'0000}, {6, 5, 0x10000}};
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const std::string bar = "function.bars[" + std::to_string(i) + "].";
    EXPECT_EQ(number(bar + "index"), bars[i][0]) << bar;
    EXPECT_EQ(number(bar + "kind"), bars[i][1]) << bar;
    EXPECT_EQ(number(bar + "size"), bars[i][2]) << bar;
  }
  EXPECT_EQ(number("function.msix.table[0].address"), 0xfee0'0000'1234'5678u);
  EXPECT_EQ(number("function.msix.table[0].data"), 0x41u);
  EXPECT_EQ(number("function.msix.table[1].vector_control"), 1u);
  EXPECT_EQ(run.field<std::vector<std::uint64_t>>(kPath, "function.msix.pending"),
            std::vector<std::uint64_t>{0});
  EXPECT_EQ(number("config_address"), 0u);
  EXPECT_THAT(run.not_in_file(), UnorderedElementsAre("config_address", "function.msix.pending"));
}

TEST(PciPrefix, OfGenerationAHasNoBarForTheRom) {
  auto run = run_of(full(Shape::kA), Shape::kA);
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  EXPECT_EQ(run.machine().find(kPath)->count("function.bars").value(), 3u);
}

TEST(PciPrefix, HasNoMsixWithoutTableAndCapability) {
  auto run = run_of({{"config_space", Space().bytes()}});
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  EXPECT_FALSE(run.machine().find(kPath)->has("function.msix").value());
}

TEST(PciPrefix, HasAnEmptyMsixTableWhenOnlyTheCapabilityIsThere) {
  auto run = run_of({{"config_space", Space().capabilities().msi(0x80, 0, 0).msix(0, 0, 0).bytes()}});
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
  EXPECT_TRUE(run.machine().find(kPath)->has("function.msix").value());
}

TEST(PciPrefix, TakesTheDataOfAnMsiWithA32BitAddressFromWhereItIs) {
  auto run = run_of({{"config_space", Space().capabilities().msi(0x0001, 0xfee00000, 0x42).bytes()},
                     {"msi.enabled", 1u},
                     {"msi.addr", 0xfee00000u},
                     {"msi.msg_data", 0x42u},
                     {"msi.maxmsgnum", 1u}});
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
}

TEST(PciPrefix, KeepsWhatIsLeftOfAnMsiThatIsOff) {
  auto run = run_of({{"config_space", Space().capabilities().msi(0x0080, 0xfee00000, 0x42).bytes()},
                     {"msi.addr", 0xfee00000u},
                     {"msi.msg_data", 0x42u}});
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("msi.addr", "msi.msg_data"));
}

TEST(PciPrefix, KeepsWhatNoPciFunctionCanHave) {
  auto run = run_of({{"bar[0].type", 77u},
                     {"bar[0].size", 5u},
                     {"bar[1].type", 0xffffffffu},
                     {"bar[2].type", 4u},
                     {"bar[4].addr", 0x1000u},
                     {"bar[6].type", 3u},
                     {"msix.enabled", 1u}});
  EXPECT_THAT(run.kept_after_both_ways(), ElementsAre("msix.enabled", "bar[0].type", "bar[0].size",
                                                      "bar[1].type", "bar[2].type", "bar[4].addr"));
}

TEST(PciPrefix, CutsAnMsixTableThatNoCapabilityCanDescribe) {
  auto run = run_of({{"msix.table_count", 2100u}, {"msix.table[2047].msg_data", 7u}});
  const auto kept = run.kept_after_both_ways();
  EXPECT_EQ(run.machine().find(kPath)->count("function.msix.table").value(), 2048u);
  EXPECT_EQ(run.field<std::uint64_t>(kPath, "function.msix.table[2047].data"), 7u);
  // The count, the size of the pending bits, and what is behind the last vector.
  EXPECT_EQ(kept.size(), 2 + 3 * (2100 - 2048));
}

TEST(PciPrefix, ComesToAnEndInALoopOfCapabilities) {
  Space space;
  space.capabilities().put(0x40, 2, 0x4009);
  EXPECT_THAT(run_of({{"config_space", space.bytes()}}).kept_after_both_ways(), IsEmpty());
  // A capability that begins in the last bytes.
  space.put(0x34, 1, 0xfc).put(0xfc, 2, 0x0005).put(0xfe, 2, 0xffff);
  auto run = run_of({{"config_space", space.bytes()}, {"msi.enabled", 1u}, {"msi.maxmsgnum", 128u}});
  EXPECT_THAT(run.kept_after_both_ways(), IsEmpty());
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
