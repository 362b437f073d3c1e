// SPDX-License-Identifier: BSD-2-Clause
// A made-up type of device with a long history, and steps for it.
//
//   1.0              the beginning
//   1.1  minor       appends `extra` (feature "extra") and Part.flag, which no step declares, and a Mode
//   2.0  major       time in ns instead of s; `name` gone; `code` became `wide_code`
//   2.1  minor       appends `note`
//   3.0  major       parts became their sum
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "../reflect/flatc.h"
#include "migrate/convert.h"

namespace vmsnap::compat {

inline std::string toy_schema(ChunkVersion version) {
  std::string part = "table Part { size: uint;";
  std::string mode = "enum Mode : ubyte { Off = 0, On = 1";
  std::string root = "label: string (required); mode: Mode; kept: ushort = 3; maybe: uint = null;";
  if (version >= ChunkVersion{1, 1}) {
    part += " flag: bool = null;";
    mode += ", Turbo = 2";
  }
  if (version.major == 1) root += " time: ulong (unit: \"s\"); name: string; code: ubyte (hex);";
  if (version.major >= 2) root += " time: ulong (unit: \"ns\"); wide_code: uint (hex); phase: uint = 5;";
  root += version.major < 3 ? " parts: [Part] (required);" : " total: ulong;";
  if (version >= ChunkVersion{1, 1}) root += " extra: [ubyte];";
  if (version >= ChunkVersion{2, 1}) root += " note: string;";
  return "namespace t; " + part + " } " + mode + " } table Toy (chunk_name: \"toy\", chunk_version: \"" +
         to_string(version) + "\") { " + root + " } root_type Toy; file_identifier \"TOY_\";";
}

inline Result<void> toy_1_to_2(StepContext& step) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t seconds, step.take<std::uint64_t>("time"));
  VMSNAP_RETURN_IF_ERROR(step.converted("time", "seconds became nanoseconds"));
  VMSNAP_RETURN_IF_ERROR(step.set("time", seconds * 1'000'000'000));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint8_t code, step.take<std::uint8_t>("code"));
  VMSNAP_RETURN_IF_ERROR(step.set("wide_code", code));
  return step.defaulted("phase", "a second has just begun");
}

inline Result<void> toy_2_to_1(StepContext& step) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t time, step.take<std::uint64_t>("time"));
  VMSNAP_RETURN_IF_ERROR(step.converted("time", "rounded down to seconds"));
  VMSNAP_RETURN_IF_ERROR(step.set("time", time / 1'000'000'000));
  VMSNAP_RETURN_IF_ERROR(step.lost("phase", "the next second begins late", Loss::kUnnoticed));
  VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t code, step.peek<std::uint32_t>("wide_code"));
  if (code > 0xff) return step.lost("wide_code", "the guest reads another code");
  VMSNAP_RETURN_IF_ERROR(step.converted("wide_code", "fits into a byte"));
  return step.set("code", code);
}

inline Result<void> toy_2_to_3(StepContext& step) {
  VMSNAP_ASSIGN_OR_RETURN(const std::size_t count, step.count("parts"));
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    VMSNAP_ASSIGN_OR_RETURN(const std::uint32_t size,
                            step.take<std::uint32_t>("parts[" + std::to_string(i) + "].size"));
    total += size;
  }
  return step.set("total", total);
}

inline Result<void> toy_3_to_2(StepContext& step) {
  VMSNAP_ASSIGN_OR_RETURN(const std::uint64_t total, step.take<std::uint64_t>("total"));
  VMSNAP_RETURN_IF_ERROR(step.make("parts"));
  if (total == 0) return {};
  VMSNAP_RETURN_IF_ERROR(step.append("parts"));
  return step.set("parts[0].size", static_cast<std::uint32_t>(total));
}

inline StepRegistry toy_registry() {
  StepRegistry registry;
  registry.steps = {{"toy", {1, 1}, {2, 0}, toy_1_to_2},
                    {"toy", {2, 0}, {1, 1}, toy_2_to_1},
                    {"toy", {2, 1}, {3, 0}, toy_2_to_3},
                    {"toy", {3, 0}, {2, 1}, toy_3_to_2}};
  registry.appended_fields = {
      {"toy", {1, 1}, "extra", "extra", Loss::kNoticeable, "the guest misses what it was sent"},
      {"toy", {2, 1}, "note", "", Loss::kUnnoticed, "nobody reads notes"}};
  return registry;
}

/// Everything about the toy; the views in types() refer into it.
class Toy {
 public:
  /// One for all tests: flatc compiles the schemas once.
  [[nodiscard]] static const Toy& instance() {
    static const Toy toy;
    return toy;
  }

  [[nodiscard]] const std::vector<ChunkType>& types() const { return types_; }
  [[nodiscard]] static std::vector<ReleaseLevel> levels() {
    return {{1, {}, {{"toy", {1, 0}, {}}}},
            {2, {}, {{"toy", {1, 1}, {"extra"}}}},
            {3, {}, {{"toy", {3, 0}, {"extra"}}}}};
  }
  [[nodiscard]] Migrator migrator(StepRegistry registry = toy_registry()) const {
    return *Migrator::create(types_, levels(), std::move(registry));
  }

  [[nodiscard]] static ByteVector state(ChunkVersion version, std::string_view json) {
    return reflect::compile_data(toy_schema(version), json);
  }
  [[nodiscard]] static DeviceEntry entry(ChunkVersion version) {
    DeviceEntry device;
    device.path = "isa0/toy@40";
    device.type = "toy";
    device.version = version;
    device.readable_since = {version.major, 0};
    return device;
  }

 private:
  Toy() {
    for (const ChunkVersion version : {ChunkVersion{1, 0}, {1, 1}, {2, 0}, {2, 1}, {3, 0}}) {
      schemas_.push_back(reflect::compile_schema(toy_schema(version)));
      types_.push_back({FourCc("TOY_"), "toy", version, "t.Toy", schemas_.back()});
    }
  }

  std::deque<ByteVector> schemas_;
  std::vector<ChunkType> types_;
};

}  // namespace vmsnap::compat
