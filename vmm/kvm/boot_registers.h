// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "base/result.h"
#include "boot/boot_state.h"
#include "kvm/vcpu.h"

namespace vmsnap::vmm {

/// Sets the registers of a fresh boot processor to a kernel's entry; what `state` does not name stays as
/// after reset. Errors: Io.
[[nodiscard]] Result<void> set_boot_registers(const KvmVcpu& vcpu, const BootState& state);

}  // namespace vmsnap::vmm
