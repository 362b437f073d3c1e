// SPDX-License-Identifier: BSD-2-Clause
// Every golden snapshot of every level against today's code: today's devices take its states over and give
// them back; its states go to every level and back, and nothing differs that the reports do not say. The
// cases that ran are counted, and must be as many as files, levels and devices demand.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>

#include "base/temp_dir.h"
#include "devices/fakes.h"
#include "kvm/state_codec.h"
#include "machine/platform.h"
#include "migrate/convert.h"
#include "reflect/content.h"
#include "snapshot/snapshot_reader.h"
#include "tree_diff.h"

namespace vmsnap {
namespace {

using compat::LevelConversion;
using compat::Migrator;

/// The sets of devices that compat/golden/make knows.
constexpr std::size_t kSetsPerLevel = 3;

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(VMSNAP_COMPAT_GOLDEN_FOLDER)) {
    if (entry.path().extension() == ".vmsnap") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// The states of a machine as the file holds them.
struct Machine {
  Manifest manifest;
  std::vector<ByteVector> states;
};

Machine read_machine(const std::string& path) {
  SnapshotReadOptions options;
  options.level = ReadLevel::kFull;
  auto reader = SnapshotReader::open(path, options);
  EXPECT_TRUE(reader) << reader.error().to_string();
  if (!reader) return {};
  Machine machine{reader->manifest(), {}};
  for (const DeviceEntry& device : machine.manifest.devices) {
    auto state = reader->device_state(device.instance);
    EXPECT_TRUE(state) << state.error().to_string();
    machine.states.push_back(state ? *std::move(state) : ByteVector());
  }
  return machine;
}

LevelConversion convert(const Migrator& migrator, const Manifest& manifest,
                        const std::vector<ByteVector>& states, std::uint16_t level) {
  const std::vector<ByteView> views(states.begin(), states.end());
  auto converted = migrator.convert_to_level(manifest, views, level, {});
  EXPECT_TRUE(converted) << converted.error().to_string();
  return converted ? *std::move(converted) : LevelConversion{};
}

Digest128 content(const Migrator& migrator, const DeviceEntry& device, ByteView state) {
  const ChunkType* type = migrator.find(device.type, device.version);
  EXPECT_NE(type, nullptr) << device.type;
  if (type == nullptr) return {};
  const auto model = reflect::SchemaModel::load(type->schema);
  EXPECT_TRUE(model);
  const auto digest = reflect::content_digest(*model, state);
  EXPECT_TRUE(digest) << digest.error().to_string();
  return digest ? *digest : Digest128{};
}

std::string without_indices(const std::string& path) {
  std::string plain;
  bool inside = false;
  for (const char c : path) {
    inside = c == '[' || (inside && c != ']');
    if (!inside && c != ']') plain += c;
  }
  return plain;
}

/// Said to be converted, but for one direction only: an offer to the driver that is withdrawn stays so.
constexpr std::string_view kOffer = "virtio.device_features";

/// The fields that were lost on the way there or made up on the way back.
std::set<std::string> declared_fields(const compat::MigrationReport& there,
                                      const compat::MigrationReport& back, std::uint32_t instance) {
  std::set<std::string> fields;
  for (const auto* report : {&there, &back}) {
    for (const compat::Outcome& outcome : report->devices[instance].outcomes) {
      const bool is_offer = outcome.kind == compat::OutcomeKind::kConverted && outcome.field == kOffer;
      if (is_offer || outcome.kind == compat::OutcomeKind::kLost ||
          outcome.kind == compat::OutcomeKind::kDefaulted) {
        fields.insert(without_indices(outcome.field));
      }
    }
  }
  return fields;
}

std::vector<snaptool::Difference> compare(const Migrator& migrator, const DeviceEntry& left_device,
                                          ByteView left, const DeviceEntry& right_device, ByteView right) {
  const auto model_of = [&](const DeviceEntry& device) {
    return reflect::SchemaModel::load(migrator.find(device.type, device.version)->schema);
  };
  const auto left_model = model_of(left_device);
  const auto right_model = model_of(right_device);
  EXPECT_TRUE(left_model && right_model);
  if (!left_model || !right_model) return {};
  const auto left_tree = compat::StateTree::decode(*left_model, left);
  const auto right_tree = compat::StateTree::decode(*right_model, right);
  EXPECT_TRUE(left_tree && right_tree);
  if (!left_tree || !right_tree) return {};
  return snaptool::compare(*left_tree, *right_tree).differences;
}

/// The devices of a machine without one, for states to go in and out of.
class Devices {
 public:
  explicit Devices(const Manifest& manifest) {
    auto memory = vmm::GuestMemory::allocate(vmm::GuestMemory::layout(std::uint64_t{32} << 20));
    EXPECT_TRUE(memory);
    memory_ = std::make_unique<vmm::GuestMemory>(std::move(*memory));
    platform_ = std::make_unique<vmm::Platform>(vmm::PlatformContext{
        *memory_, ports_, mmio_, msi_, [this](std::uint32_t gsi) -> vmm::IrqLine& { return lines_[gsi]; },
        power_, clock_, console_});
    for (const DeviceEntry& device : manifest.devices) add(device);
  }

  /// Puts a state into the device of that entry and takes it out again; of what lives inside KVM, into the
  /// form in which KVM would get it.
  Result<ByteVector> there_and_back(const DeviceEntry& entry, ByteView state) {
    if (entry.type == "x86_cpu") return repack(vmm::unpack_x86_cpu(state), vmm::pack_x86_cpu);
    if (entry.type == "lapic") return repack(vmm::unpack_lapic(state), vmm::pack_lapic);
    if (entry.type == "cpu_profile") return repack(vmm::unpack_cpu_profile(state), vmm::pack_cpu_profile);
    if (entry.type == "ioapic") return repack(vmm::unpack_ioapic(state), vmm::pack_ioapic);
    if (entry.type == "i8259") return repack(vmm::unpack_i8259(state), vmm::pack_i8259);
    if (entry.type == "i8254") return repack(vmm::unpack_i8254(state), vmm::pack_i8254);
    if (entry.type == "kvm_clock") return repack(vmm::unpack_kvm_clock(state), vmm::pack_kvm_clock);
    for (const auto& device : platform_->devices()) {
      if (device->describe().path != entry.path) continue;
      VMSNAP_RETURN_IF_ERROR(device->restore(state));
      return device->save();
    }
    return Error(ErrorKind::kUnsupported, "this machine has no such device").in_device(entry.path);
  }

 private:
  class SilentConsole final : public vmm::CharacterSink {
   public:
    [[nodiscard]] std::size_t write(ByteView bytes) override { return bytes.size(); }
  };

  template <typename State, typename Pack>
  static Result<ByteVector> repack(Result<State> state, Pack pack) {
    if (!state) return std::move(state).error();
    return pack(*state);
  }

  void add(const DeviceEntry& entry) {
    static const std::set<std::string> kInsideKvm = {"x86_cpu", "lapic", "cpu_profile", "ioapic",
                                                     "i8259",   "i8254", "kvm_clock"};
    if (kInsideKvm.contains(entry.type)) return;
    vmm::DeviceSpec spec{entry.type, entry.path, std::nullopt};
    if (!entry.slots.empty()) {
      const std::string image = dir_.file(entry.slots[0].name);
      const int fd = ::open(image.c_str(), O_CREAT | O_RDWR, 0600);
      EXPECT_GE(fd, 0);
      EXPECT_EQ(::ftruncate(fd, static_cast<off_t>(entry.slots[0].size.value_or(0))), 0);
      ::close(fd);
      spec.disk = vmm::DiskBackend{entry.slots[0].name, image, entry.slots[0].read_only, {}};
    }
    const auto added = platform_->add(spec);
    EXPECT_TRUE(added) << added.error().to_string();
  }

  TempDir dir_;
  std::unique_ptr<vmm::GuestMemory> memory_;
  vmm::IoBus ports_;
  vmm::IoBus mmio_;
  vmm::testing::FakeMsiSink msi_;
  vmm::testing::FakePower power_;
  vmm::testing::FakeClock clock_;
  SilentConsole console_;
  std::map<std::uint32_t, vmm::testing::FakeIrqLine> lines_;
  std::unique_ptr<vmm::Platform> platform_;
};

class GoldenMatrix : public ::testing::Test {
 protected:
  void SetUp() override {
    auto migrator = Migrator::create();
    ASSERT_TRUE(migrator) << migrator.error().to_string();
    migrator_ = std::make_unique<Migrator>(*std::move(migrator));
  }

  std::unique_ptr<Migrator> migrator_;
  const std::vector<std::string> files_ = golden_files();
};

TEST_F(GoldenMatrix, HasFilesOfEveryLevel) {
  std::map<std::uint16_t, std::size_t> files_of;
  for (const std::string& file : files_) {
    SCOPED_TRACE(file);
    const Machine machine = read_machine(file);
    const std::string prefix = "level" + std::to_string(machine.manifest.release_level) + '-';
    EXPECT_EQ(std::filesystem::path(file).filename().string().rfind(prefix, 0), 0u);
    ++files_of[machine.manifest.release_level];
    const auto level = migrator_->level(machine.manifest.release_level);
    ASSERT_TRUE(level);
    for (const DeviceEntry& device : machine.manifest.devices) {
      EXPECT_EQ(device.version, (*level)->find(device.type)->version) << device.path;
    }
  }
  for (const compat::ReleaseLevel& level : migrator_->levels()) {
    EXPECT_GE(files_of[level.number], kSetsPerLevel) << "level " << level.number;
  }
}

TEST_F(GoldenMatrix, RestoresEveryStateOfEveryFileToWhatWasRecorded) {
  std::size_t states = 0;
  std::size_t expected = 0;
  for (const std::string& file : files_) {
    SCOPED_TRACE(file);
    const Machine golden = read_machine(file);
    expected += golden.states.size();
    const LevelConversion today =
        convert(*migrator_, golden.manifest, golden.states, compat::current_level());
    ASSERT_TRUE(today.converted);
    EXPECT_FALSE(today.report.refused());
    Devices devices(today.converted->manifest);
    for (const DeviceEntry& device : today.converted->manifest.devices) {
      SCOPED_TRACE(device.path);
      const ByteVector& state = today.converted->states[device.instance];
      const auto saved = devices.there_and_back(device, state);
      ASSERT_TRUE(saved) << saved.error().to_string();
      EXPECT_EQ(content(*migrator_, device, *saved), content(*migrator_, device, state));
      ++states;
    }
  }
  EXPECT_EQ(states, expected);
  EXPECT_GE(states, files_.size() * 13);
  std::printf("golden matrix: %zu states of %zu files restored and saved again\n", states, files_.size());
}

TEST_F(GoldenMatrix, BringsEveryFileToEveryLevelAndBackWithNothingUndeclared) {
  std::size_t cases = 0;
  std::size_t states = 0;
  for (const std::string& file : files_) {
    SCOPED_TRACE(file);
    const Machine golden = read_machine(file);
    const std::uint16_t own = golden.manifest.release_level;
    for (const compat::ReleaseLevel& level : migrator_->levels()) {
      SCOPED_TRACE(level.number);
      const LevelConversion there = convert(*migrator_, golden.manifest, golden.states, level.number);
      ++cases;
      // A file whose guest uses what the level does not know is refused, and that is the end of this case.
      if (there.report.refused()) {
        EXPECT_FALSE(there.converted);
        EXPECT_LT(level.number, own);
        continue;
      }
      ASSERT_TRUE(there.converted);
      EXPECT_EQ(there.converted->manifest.release_level, level.number);
      const LevelConversion back =
          convert(*migrator_, there.converted->manifest, there.converted->states, own);
      ASSERT_TRUE(back.converted);
      for (const DeviceEntry& device : golden.manifest.devices) {
        SCOPED_TRACE(device.path);
        ++states;
        const auto declared = declared_fields(there.report, back.report, device.instance);
        const DeviceEntry& returned = back.converted->manifest.devices[device.instance];
        EXPECT_EQ(returned.version, device.version);
        EXPECT_EQ(returned.features, device.features);
        const auto differences = compare(*migrator_, device, golden.states[device.instance], returned,
                                         back.converted->states[device.instance]);
        for (const snaptool::Difference& difference : differences) {
          EXPECT_TRUE(declared.contains(without_indices(difference.path)))
              << difference.path << " changed from " << difference.left << " to " << difference.right
              << " and no report says so";
        }
      }
    }
  }
  EXPECT_EQ(cases, files_.size() * migrator_->levels().size());
  std::printf("golden matrix: %zu files x %zu levels = %zu cases, %zu states there and back\n", files_.size(),
              migrator_->levels().size(), cases, states);
}

}  // namespace
}  // namespace vmsnap
