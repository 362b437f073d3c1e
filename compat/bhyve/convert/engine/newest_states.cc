// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/convert/engine/newest_states.h"

#include <fmt/format.h>

#include "bhyve/set/shown.h"

namespace vmsnap::compat::bhyve {

Result<const Migrator*> NewestStates::migrator() {
  if (!migrator_) {
    VMSNAP_ASSIGN_OR_RETURN(migrator_, Migrator::create());
  }
  return &*migrator_;
}

Result<ByteVector> NewestStates::bring(const DeviceEntry& device, ByteVector state) {
  const ChunkType* newest = newest_of(types_, device.type);
  if (newest == nullptr) {
    return Error(ErrorKind::kUnsupported, fmt::format("a {} is no device that bhyve has", shown(device.type)))
        .in_device(device.path);
  }
  if (device.version == newest->version) return state;
  VMSNAP_ASSIGN_OR_RETURN(const Migrator* const migrator, this->migrator());
  const LevelChunk target{device.type, newest->version, device.features};
  VMSNAP_ASSIGN_OR_RETURN(Conversion conversion, migrator->convert(device, state, target, {}));
  if (!conversion.converted) {
    return refusal(MigrationReport{0, 0, {std::move(conversion.report)}},
                   "convert a snapshot that has it in the newest version");
  }
  for (const Outcome& outcome : conversion.report.outcomes) {
    if (outcome.kind != OutcomeKind::kDefaulted && outcome.kind != OutcomeKind::kLost) continue;
    remarks_.push_back(
        {Remark::Kind::kNote, device.path,
         fmt::format("{} {} in version {}, from {}: {}", outcome.field, to_string(outcome.kind),
                     to_string(outcome.to), to_string(outcome.from), outcome.sentence)});
  }
  return std::move(conversion.converted->state);
}

}  // namespace vmsnap::compat::bhyve
