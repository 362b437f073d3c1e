// SPDX-License-Identifier: BSD-2-Clause
// Device states from one version to another, and whole machines from one release level to another
// (docs/versioning.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "format/chunk_type.h"
#include "migrate/planner.h"
#include "migrate/report.h"
#include "migrate/state_tree.h"
#include "migrate/step.h"
#include "reflect/schema_model.h"
#include "snapshot/manifest.h"
#include "versions/versions.h"

namespace vmsnap::compat {

/// Losses that the user accepts, by name: "DEVICE.field", DEVICE being the path in the manifest, e.g.
/// "isa0/uart@3f8.transmit_fifo". A name covers the field with all its parts; without indices, the field in
/// every element of its list.
class AllowedLosses {
 public:
  AllowedLosses() = default;
  /// Errors: Usage (no such name can be).
  [[nodiscard]] static Result<AllowedLosses> parse(std::vector<std::string> names);

  [[nodiscard]] bool covers(std::string_view device, std::string_view field) const;
  /// The names that have allowed nothing in `report`, in order: possibly misspelt.
  [[nodiscard]] std::vector<std::string> unused(const MigrationReport& report) const;

 private:
  std::vector<std::string> names_;
};

/// A device state in another version.
struct ConvertedState {
  DeviceEntry device;  // version, readable_since and features are those of the state; the rest as it was
  ByteVector state;
};

struct Conversion {
  DeviceReport report;
  std::optional<ConvertedState> converted;  // nullopt when the report is refused
};

/// The device states of a machine in the versions of a level.
struct ConvertedMachine {
  Manifest manifest;               // with the level and the new entries of the devices
  std::vector<ByteVector> states;  // by instance
};

struct LevelConversion {
  MigrationReport report;
  std::optional<ConvertedMachine> converted;  // nullopt when the report is refused
};

/// Everything there is to know of versions, levels and steps. Immutable; may be shared between threads.
class Migrator {
 public:
  /// With all that this build knows. Errors: Internal, if that contradicts itself.
  [[nodiscard]] static Result<Migrator> create();
  /// With other knowledge; what the views in `types` and `registry` refer to must outlive the migrator.
  /// Errors: as above.
  [[nodiscard]] static Result<Migrator> create(const std::vector<ChunkType>& types,
                                               std::vector<ReleaseLevel> levels, StepRegistry registry);

  /// Converts the state of one device. Only `target.version` and `target.features` say to what. A state of a
  /// minor newer than this build knows is read as the newest one known, if its readable_since allows that.
  /// The state that comes out is readable since the oldest minor that loses nothing, or since what the entry
  /// says, if that is of the same major; never since a version above the target.
  /// Errors, all with the device: Unsupported (type, major, readable_since or feature not known, no step);
  /// Corrupt, LimitExceeded (the state); Internal (a step). A loss is no error but a refused report.
  [[nodiscard]] Result<Conversion> convert(const DeviceEntry& device, ByteView state,
                                           const LevelChunk& target, const AllowedLosses& allowed) const;

  /// Converts the states of all devices, `states` by instance, up or down. Every refused loss of every device
  /// is in the report. Errors: those of convert(); Usage (no such level); Unsupported (the level does not know
  /// a type of device); LimitExceeded (the states unfold to 256 MiB more than they are, or to more than 2^20
  /// outcomes); Internal (`states` are not one per device).
  [[nodiscard]] Result<LevelConversion> convert_to_level(const Manifest& manifest,
                                                         std::span<const ByteView> states,
                                                         std::uint16_t level,
                                                         const AllowedLosses& allowed) const;

  /// In rising order. Valid as long as the migrator.
  [[nodiscard]] const std::vector<ReleaseLevel>& levels() const& { return levels_; }
  void levels() && = delete;
  /// Errors: Usage, listing the levels there are.
  [[nodiscard]] Result<const ReleaseLevel*> level(std::uint16_t number) const&;
  void level(std::uint16_t number) && = delete;

  /// Schema and names of a version; nullptr when it is not known. Valid as long as the migrator.
  [[nodiscard]] const ChunkType* find(std::string_view type, ChunkVersion version) const&;
  void find(std::string_view type, ChunkVersion version) && = delete;
  [[nodiscard]] const Planner& planner() const& { return planner_; }
  void planner() && = delete;
  [[nodiscard]] const StepRegistry& registry() const& { return registry_; }
  void registry() && = delete;

 private:
  struct Known {
    ChunkType type;
    reflect::SchemaModel model;
  };

  Migrator(std::vector<Known> known, std::vector<ReleaseLevel> levels, StepRegistry registry, Planner planner)
      : known_(std::move(known)),
        levels_(std::move(levels)),
        registry_(std::move(registry)),
        planner_(std::move(planner)) {}

  [[nodiscard]] const Known* find_known(std::string_view type, ChunkVersion version) const;
  /// The version as which the state is read. Errors: Unsupported.
  [[nodiscard]] Result<ChunkVersion> readable_version(const DeviceEntry& device) const;
  [[nodiscard]] Result<void> check_features(const DeviceEntry& device) const;
  [[nodiscard]] Result<Conversion> convert_checked(const DeviceEntry& device, ByteView state,
                                                   const LevelChunk& target,
                                                   const AllowedLosses& allowed) const;
  [[nodiscard]] Result<StateTree> step(StateTree source, DeviceEntry& device, ChunkVersion to,
                                       DeviceReport& report) const;
  void leave_features(StateTree& tree, DeviceEntry& device, const LevelChunk& target,
                      DeviceReport& report) const;
  [[nodiscard]] ChunkVersion readable_since(const StateTree& tree, const DeviceEntry& before,
                                            ChunkVersion version) const;

  std::vector<Known> known_;
  std::vector<ReleaseLevel> levels_;
  StepRegistry registry_;
  Planner planner_;
};

}  // namespace vmsnap::compat
