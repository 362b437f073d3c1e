// SPDX-License-Identifier: BSD-2-Clause
#include "levels/level_converter.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "migrate/convert.h"
#include "versions/versions.h"

namespace vmsnap::vmm {
namespace {

using compat::LevelChunk;
using compat::Migrator;
using compat::ReleaseLevel;

class LevelConverter final : public StateConverter {
 public:
  [[nodiscard]] std::uint16_t current_level() const override { return levels_.back().number; }

  [[nodiscard]] bool knows(std::uint16_t level, std::string_view type,
                           std::string_view feature) const override {
    const LevelChunk* const chunk = find(level, type);
    return chunk != nullptr &&
           std::find(chunk->features.begin(), chunk->features.end(), feature) != chunk->features.end();
  }

  [[nodiscard]] Result<void> upgrade(DeviceEntry& entry, ByteVector& state) const override {
    const LevelChunk* const target = find(current_level(), entry.type);
    if (target == nullptr) {
      return Error(ErrorKind::kUnsupported,
                   "this build has no device of the type " + entry.type + "; use a newer one");
    }
    VMSNAP_ASSIGN_OR_RETURN(const Migrator* const migrator, this->migrator());
    VMSNAP_ASSIGN_OR_RETURN(compat::Conversion conversion, migrator->convert(entry, state, *target, {}));
    if (!conversion.converted) return refusal(conversion.report);
    entry = std::move(conversion.converted->device);
    state = std::move(conversion.converted->state);
    return {};
  }

  [[nodiscard]] Result<std::vector<ChunkType>> bring_to_level(
      std::uint16_t level, Manifest& manifest, std::vector<ByteVector>& states) const override {
    VMSNAP_ASSIGN_OR_RETURN(const Migrator* const migrator, this->migrator());
    const std::vector<ByteView> views(states.begin(), states.end());
    VMSNAP_ASSIGN_OR_RETURN(compat::LevelConversion conversion,
                            migrator->convert_to_level(manifest, views, level, {}));
    if (!conversion.converted) {
      return refusal(conversion.report,
                     fmt::format("save it at level {}, and bring that file down with snaptool migrate, which "
                                 "can allow each loss by its name",
                                 current_level()));
    }
    std::vector<ChunkType> types;
    for (const LevelChunk& chunk : levels_[level - 1].chunks) {
      const ChunkType* const type = migrator->find(chunk.name, chunk.version);
      if (type == nullptr) return Error(ErrorKind::kInternal, "a release level names an unknown version");
      types.push_back(*type);
    }
    manifest = std::move(conversion.converted->manifest);
    states = std::move(conversion.converted->states);
    return types;
  }

 private:
  [[nodiscard]] const LevelChunk* find(std::uint16_t level, std::string_view type) const {
    if (level < 1 || level > current_level()) return nullptr;
    return levels_[level - 1].find(type);
  }

  /// Made when it is needed first: that reads every schema there is, and most machines never convert.
  [[nodiscard]] Result<const Migrator*> migrator() const {
    const std::lock_guard lock(mutex_);
    if (!migrator_) {
      VMSNAP_ASSIGN_OR_RETURN(Migrator made, Migrator::create());
      migrator_.emplace(std::move(made));
    }
    return &*migrator_;
  }

  const std::vector<ReleaseLevel> levels_ = compat::release_levels();
  mutable std::mutex mutex_;
  mutable std::optional<Migrator> migrator_;
};

}  // namespace

std::unique_ptr<StateConverter> make_state_converter() {
  return std::make_unique<LevelConverter>();
}

}  // namespace vmsnap::vmm
