// SPDX-License-Identifier: BSD-2-Clause
// Sizes and offsets that were measured on real files, or on bhyve's own serialisation code compiled
// elsewhere.
#include <gtest/gtest.h>

#include <numeric>

#include "bhyve/layout/decode.h"
#include "bhyve/layout/layouts.h"
#include "bhyve_chunks.h"

namespace vmsnap::compat::bhyve {
namespace {

std::uint64_t size_of_chunk(std::string_view chunk, std::string_view shape, const Context& context) {
  const Layout* layout = find_layout(chunk, shape);
  if (layout == nullptr) {
    ADD_FAILURE() << "no layout " << chunk << " " << shape;
    return 0;
  }
  const auto size = size_in(*layout, context);
  if (!size) ADD_FAILURE() << "the size of " << chunk << " does not follow from the context";
  return size.value_or(0);
}

Context machine(std::uint64_t vcpus) {
  Context context;
  context.vcpus = vcpus;
  context.cpuset_longs = 16;
  return context;
}

struct Generation {
  std::string_view vm;
  std::string_view vmx;  // empty when the generation has none
  std::string_view vmcx;
  std::string_view vlapic;
};

std::uint64_t kernel_total(const Generation& generation, std::uint64_t vcpus) {
  const Context context = machine(vcpus);
  std::uint64_t sum = size_of_chunk("vm", generation.vm, context) +
                      size_of_chunk("vmcx", generation.vmcx, context) +
                      size_of_chunk("vlapic", generation.vlapic, context);
  if (!generation.vmx.empty()) sum += size_of_chunk("vmx", generation.vmx, context);
  for (const std::string_view chunk : {"vhpet", "vioapic", "vatpit", "vatpic", "vpmtmr", "vrtc"}) {
    sum += size_of_chunk(chunk, "A", context);
  }
  return sum;
}

TEST(LayoutSizes, AddUpToTheKernelPartOfEveryGeneration) {
  const Generation intel_a{"A", "Intel A", "Intel A", "A"};
  const Generation intel_b{"B", "B", "Intel B", "B"};
  const Generation intel_c{"C", "", "Intel C", "B"};
  const Generation amd_a{"A", "AMD A", "AMD A", "A"};
  const Generation amd_b{"B", "B", "AMD B", "B"};
  const Generation amd_c{"C", "", "AMD C", "B"};
  for (const std::uint64_t vcpus : {1u, 2u, 4u}) {
    EXPECT_EQ(kernel_total(intel_a, vcpus), 80418u);  // a real file has its first device at this offset
    EXPECT_EQ(kernel_total(amd_a, vcpus), 129610u);
  }
  EXPECT_EQ(kernel_total(intel_b, 1), 6091u);
  EXPECT_EQ(kernel_total(intel_b, 2), 11044u);
  EXPECT_EQ(kernel_total(intel_b, 4), 20950u);
  EXPECT_EQ(kernel_total(intel_c, 1), 6507u);
  EXPECT_EQ(kernel_total(intel_c, 2), 11780u);
  EXPECT_EQ(kernel_total(intel_c, 4), 22326u);
  EXPECT_EQ(kernel_total(amd_b, 1), 6263u);
  EXPECT_EQ(kernel_total(amd_b, 2), 11388u);
  EXPECT_EQ(kernel_total(amd_b, 4), 21638u);
  EXPECT_EQ(kernel_total(amd_c, 1), 6615u);
  EXPECT_EQ(kernel_total(amd_c, 2), 11996u);
  EXPECT_EQ(kernel_total(amd_c, 4), 22758u);
}

TEST(LayoutSizes, AreThoseOfEveryStructureOfTheKernel) {
  const Context one = machine(1);
  const struct {
    std::string_view chunk;
    std::string_view shape;
    std::uint64_t size;
  } expected[] = {
      {"vhpet", "A", 284},
      {"vioapic", "A", 388},
      {"vatpit", "A", 172},
      {"vatpic", "A", 118},
      {"vpmtmr", "A", 4},
      {"vrtc", "A", 140},
      {"atkbdc", "A", 141},
      {"vm", "A", 2944},
      {"vm", "B", 184 + 32},
      {"vm", "C", 184 + 128},
      {"vmx", "Intel A", 3584},
      {"vmx", "AMD A", 50856},
      {"vmx", "B", 0},
      {"vmcx", "Intel A", 6016},
      {"vmcx", "Intel B", 600},
      {"vmcx", "Intel C0", 664},
      {"vmcx", "Intel 856", 856},
      {"vmcx", "Intel C", 920},
      {"vmcx", "AMD A", 7936},
      {"vmcx", "AMD B", 772},
      {"vmcx", "AMD C", 1028},
      {"vlapic", "A", 16 * 4173},
      {"vlapic", "B", 4169},
  };
  for (const auto& [chunk, shape, size] : expected) {
    EXPECT_EQ(size_of_chunk(chunk, shape, one), size) << chunk << " " << shape;
  }
}

/// A device as the real file has it, or as one would be.
struct DeviceCase {
  std::string_view chunk;
  Shape shape = Shape::kB;
  std::uint64_t table_count = 0;
  std::vector<std::uint64_t> queue_sizes = {};
  bool rings = false;
  std::uint64_t uarts = 0;
  std::uint64_t drives = 0;
};

std::uint64_t size_of_device(const DeviceCase& device) {
  Context context;
  context.set_shapes(device.shape);
  context.uarts = device.uarts;
  context.usb_devices = 0;
  std::size_t queue = 0;
  std::uint64_t port = 0;
  const ByteVector zeros(16 << 20);
  const auto chunk = encode(*layouts_of(device.chunk).front(), context, [&](const Field& field) {
    std::optional<FieldValue> value = ByteView(zeros).first(field.size);
    if (field.path == "msix.table_count") value = device.table_count;
    if (field.path == "vc_nvq") value = std::uint64_t{device.queue_sizes.size()};
    if (field.item->name == "vq_qsize") value = device.queue_sizes[queue++];
    if (field.item->name == "vq_flags") value = std::uint64_t{device.rings};
    if (field.item->name == "bctx") value = std::uint64_t{port++ < device.drives};
    return value;
  });
  if (!chunk) ADD_FAILURE() << chunk.error().to_string();
  return chunk ? chunk->size() : 0;
}

TEST(LayoutSizes, AreThoseOfTheDevicesInARealFileOfGenerationA) {
  EXPECT_EQ(size_of_device({.chunk = "lpc", .shape = Shape::kA, .uarts = 2}), 520u);
  EXPECT_EQ(size_of_device(
                {.chunk = "virtio-net", .shape = Shape::kA, .table_count = 3, .queue_sizes = {1024, 1024}}),
            66180u);
  EXPECT_EQ(
      size_of_device({.chunk = "virtio-blk", .shape = Shape::kA, .table_count = 2, .queue_sizes = {128}}),
      8819u);
  EXPECT_EQ(size_of_device({.chunk = "hostbridge", .shape = Shape::kA}), 436u);
  EXPECT_EQ(size_of_device({.chunk = "atkbdc", .shape = Shape::kA}), 141u);
}

TEST(LayoutSizes, AreThoseComputedForDevicesOfBothShapes) {
  EXPECT_EQ(size_of_device({.chunk = "hostbridge"}), 452u);
  EXPECT_EQ(size_of_device({.chunk = "dummy"}), 452u);
  EXPECT_EQ(size_of_device({.chunk = "lpc", .shape = Shape::kA, .uarts = 4}), 604u);
  EXPECT_EQ(size_of_device({.chunk = "lpc", .uarts = 4}), 620u);
  const std::vector<std::uint64_t> net{1024, 1024};
  EXPECT_EQ(size_of_device({.chunk = "virtio-blk", .table_count = 2, .queue_sizes = {128}, .rings = true}),
            8835u);
  EXPECT_EQ(size_of_device({.chunk = "virtio-blk", .table_count = 2, .queue_sizes = {128}}), 619u);
  EXPECT_EQ(size_of_device({.chunk = "virtio-net", .table_count = 3, .queue_sizes = net, .rings = true}),
            66197u);
  EXPECT_EQ(size_of_device({.chunk = "virtio-net", .table_count = 3, .queue_sizes = net}), 613u);
  EXPECT_EQ(
      size_of_device({.chunk = "virtio-rnd", .shape = Shape::kA, .table_count = 2, .queue_sizes = {64}}),
      8738u);
  EXPECT_EQ(size_of_device({.chunk = "virtio-rnd", .table_count = 2, .queue_sizes = {64}, .rings = true}),
            8754u);
  EXPECT_EQ(size_of_device({.chunk = "virtio-rnd", .table_count = 2, .queue_sizes = {64}}), 538u);
  EXPECT_EQ(size_of_device({.chunk = "e1000", .shape = Shape::kA}), 2174u);
  EXPECT_EQ(size_of_device({.chunk = "e1000"}), 2190u);
  EXPECT_EQ(size_of_device({.chunk = "ahci", .drives = 1}), 1531u);
  EXPECT_EQ(size_of_device({.chunk = "ahci-hd", .drives = 3}), 452u + 52 + 32 * 12 + 643 * 3);
  EXPECT_EQ(size_of_device({.chunk = "fbuf", .shape = Shape::kA}), 16777652u);
  EXPECT_EQ(size_of_device({.chunk = "fbuf"}), 16777668u);
  EXPECT_EQ(size_of_device({.chunk = "xhci"}), 452u + 160 + 64 * 4 + 8);
  EXPECT_EQ(size_of_device({.chunk = "xhci", .shape = Shape::kA}), 436u + 160 + 64 * 4 + 12);
}

TEST(LayoutSizes, OfARingCoverTheUsedRingUpToTheEndOfItsPage) {
  const std::uint64_t without = size_of_device({.chunk = "virtio-rnd", .queue_sizes = {64}}) + 24;
  const std::pair<std::uint64_t, std::uint64_t> expected[] = {
      {64, 8192}, {128, 8192}, {256, 12288}, {512, 20480}, {1024, 32768}};
  for (const auto& [entries, bytes] : expected) {
    EXPECT_EQ(size_of_device({.chunk = "virtio-rnd", .queue_sizes = {entries}, .rings = true}),
              without + bytes);
  }
}

/// Offsets of fields in a chunk of random content.
class Offsets {
 public:
  Offsets(std::string_view chunk, std::string_view shape, Context context, std::uint64_t seed = 1)
      : chunk_(make_random_chunk(*find_layout(chunk, shape), context, seed)),
        decoded_(*decode(*find_layout(chunk, shape), context, chunk_.bytes)) {}

  [[nodiscard]] std::uint64_t operator[](std::string_view path) const {
    const Field* field = decoded_.find(path);
    if (field == nullptr) ADD_FAILURE() << "no field " << path;
    return field == nullptr ? 0 : field->offset;
  }

 private:
  RandomChunk chunk_;
  Decoded decoded_;
};

TEST(LayoutOffsets, OfKernelStructuresAreThoseOfTheReference) {
  const Offsets vhpet("vhpet", "A", machine(1));
  EXPECT_EQ(vhpet["countbase"], 24u);
  EXPECT_EQ(vhpet["timer[7].callout_sbt"], 28u + 7 * 32 + 24);
  const Offsets vm("vm", "C", machine(2));
  EXPECT_EQ(vm["vcpu[1].exitinfo.rip"], 184u + 40);
  EXPECT_EQ(vm["vcpu[1].nextrip"], 184u + 168);
  EXPECT_EQ(vm["startup_cpus"], 368u);
  const Offsets vlapic_a("vlapic", "A", machine(1));
  EXPECT_EQ(vlapic_a["vcpu[0].boot_state"], 4137u);
  EXPECT_EQ(vlapic_a["vcpu[15].ccr"], 15u * 4173 + 4169);
  const Offsets vatpit("vatpit", "A", machine(1));
  EXPECT_EQ(vatpit["ch2.callout_bt.frac"], 164u);
  const Offsets vatpic("vatpic", "A", machine(1));
  EXPECT_EQ(vatpic["pic[1].acnt"], 58u + 21);
  EXPECT_EQ(vatpic["elc"], 116u);
  const Offsets vrtc("vrtc", "A", machine(1));
  EXPECT_EQ(vrtc["century"], 62u);
}

TEST(LayoutOffsets, OfVcpuRegistersAreThoseOfTheReference) {
  const Offsets intel("vmcx", "Intel C", machine(2));
  EXPECT_EQ(intel["vcpu[0].LDTR.access"], 244u);
  EXPECT_EQ(intel["vcpu[0].efer"], 248u);
  EXPECT_EQ(intel["vcpu[0].GDTR.base"], 272u);
  EXPECT_EQ(intel["vcpu[0].exit_ctls"], 368u);
  EXPECT_EQ(intel["vcpu[0].msr.TSC_AUX"], 376u + 48);
  EXPECT_EQ(intel["vcpu[0].pir_desc.pending"], 376u + 88);
  EXPECT_EQ(intel["vcpu[0].mtrr.def_type"], 376u + 120);
  EXPECT_EQ(intel["vcpu[0].mtrr.var[9].mask"], 376u + 216 + 152);
  EXPECT_EQ(intel["vcpu[1].dr6"], 920u + 376 + 536);
  const Offsets amd_a("vmcx", "AMD A", machine(1));
  EXPECT_EQ(amd_a["vcpu[0].npt_base"], 328u);
  EXPECT_EQ(amd_a["vcpu[0].msr_perm"], 464u);
  EXPECT_EQ(amd_a["vcpu[0].intr_shadow"], 488u);
  const Offsets amd("vmcx", "AMD C", machine(1));
  EXPECT_EQ(amd["vcpu[0].intr_shadow"], 312u);
  EXPECT_EQ(amd["vcpu[0].guest_pat"], 544u);
  EXPECT_EQ(amd["vcpu[0].nextrip"], 736u);
  EXPECT_EQ(amd["vcpu[0].asid.num"], 768u);
  EXPECT_EQ(amd["vcpu[0].mtrr.fixed64k"], 772u + 88);
  const Offsets vmx("vmx", "Intel A", machine(1));
  EXPECT_EQ(vmx["vcpu[1].cr2"], 224u + 176);
  const Offsets svm("vmx", "AMD A", machine(1));
  const std::uint64_t area = 8 + 30 - 0xa0;  // offset of the state save area, were it stored from its start
  EXPECT_EQ(svm["vcpu[0].save_area.cpl"], area + 0xcb);
  EXPECT_EQ(svm["vcpu[0].save_area.efer"], area + 0xd0);
  EXPECT_EQ(svm["vcpu[0].save_area.cr4"], area + 0x148);
  EXPECT_EQ(svm["vcpu[0].save_area.rip"], area + 0x178);
  EXPECT_EQ(svm["vcpu[0].save_area.rsp"], area + 0x1d8);
  EXPECT_EQ(svm["vcpu[0].save_area.rax"], area + 0x1f8);
  EXPECT_EQ(svm["vcpu[0].save_area.cr2"], area + 0x240);
  EXPECT_EQ(svm["vcpu[0].save_area.g_pat"], area + 0x268);
  EXPECT_EQ(svm["vcpu[0].rbp"], 8u + 2942);
  EXPECT_EQ(svm["vcpu[1].asid.num"], 8u + 3178 + 3174);
}

TEST(LayoutOffsets, OfDevicesAreThoseOfTheReference) {
  Context a;
  a.set_shapes(Shape::kA);
  a.uarts = 2;
  const Offsets lpc_a("lpc", "by axes", a);
  EXPECT_EQ(lpc_a["config_space"], 60u);
  EXPECT_EQ(lpc_a["bar[5].addr"], 428u);
  Context b;
  b.uarts = 2;
  const Offsets lpc("lpc", "by axes", b);
  EXPECT_EQ(lpc["config_space"], 56u);
  EXPECT_EQ(lpc["bar[6].addr"], 444u);
  EXPECT_EQ(lpc["uart[1].rxfifo.buf"] - lpc["uart[0].data"], 42u + 26);
  const Offsets e1000("e1000", "by axes", b);
  const std::uint64_t body = e1000["mac"];
  EXPECT_EQ(e1000["txdesc"] - body, 138u);
  EXPECT_EQ(e1000["uni[15].eu_eth"] - body, 146u + 15 * 14 + 8);
  EXPECT_EQ(e1000["rxdesc"] - body, 1462u);
  EXPECT_EQ(e1000["nvm_bits_again"] - body, 1602u);
  EXPECT_EQ(e1000["eeprom_data"] - body, 1610u);
  const Offsets atkbdc("atkbdc", "A", b);
  EXPECT_EQ(atkbdc["kbd_raw.bcnt"], 42u + 32);
  EXPECT_EQ(atkbdc["ps2mouse.delta_y"], 137u);
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
