// SPDX-License-Identifier: BSD-2-Clause
// What the fields of each state may hold whatever the host: the rules of the manuals. Pure. Errors: Corrupt,
// LimitExceeded; with the field.
#pragma once

#include "base/result.h"
#include "cpu_profile_generated.h"
#include "i8254_generated.h"
#include "i8259_generated.h"
#include "ioapic_generated.h"
#include "kvm_clock_generated.h"
#include "lapic_generated.h"
#include "x86_cpu_generated.h"

namespace vmsnap::vmm {

[[nodiscard]] Result<void> check_state(const schema::X86CpuT& state);
[[nodiscard]] Result<void> check_state(const schema::LapicT& state);
[[nodiscard]] Result<void> check_state(const schema::CpuProfileT& state);
[[nodiscard]] Result<void> check_state(const schema::IoapicT& state);
[[nodiscard]] Result<void> check_state(const schema::I8259T& state);
[[nodiscard]] Result<void> check_state(const schema::I8254T& state);
[[nodiscard]] Result<void> check_state(const schema::KvmClockT& state);

}  // namespace vmsnap::vmm
