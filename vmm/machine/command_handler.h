// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "control/server.h"
#include "machine/machine.h"

namespace vmsnap::vmm {

/// What the control socket can ask of a machine (docs/snapvmm.1, "ctl"). The machine must outlive it.
class MachineCommands : public CommandHandler {
 public:
  explicit MachineCommands(Machine& machine) : machine_(machine) {}

  [[nodiscard]] Result<nlohmann::json> handle(const Request& request, UniqueFd stream) override;

 private:
  [[nodiscard]] nlohmann::json status();
  [[nodiscard]] Result<nlohmann::json> save(const Request& request, UniqueFd stream);

  Machine& machine_;
};

}  // namespace vmsnap::vmm
