// SPDX-License-Identifier: BSD-2-Clause
// The in-kernel interrupt controllers and timer, out of KVM and into it. The virtual CPUs are stopped. The
// states given to restore_*() have passed unpack_*() (state_codec.h).
#pragma once

#include "base/result.h"
#include "i8254_generated.h"
#include "i8259_generated.h"
#include "ioapic_generated.h"

namespace vmsnap::vmm {

class KvmVm;

/// Errors of all: Io; Unsupported when KVM holds something that the schema has no words for.
[[nodiscard]] Result<schema::I8259T> save_i8259(const KvmVm& vm);
[[nodiscard]] Result<schema::IoapicT> save_ioapic(const KvmVm& vm);
[[nodiscard]] Result<schema::I8254T> save_i8254(const KvmVm& vm);

/// Whether KVM's I/O APIC can take the state; its 8259 and 8254 take every valid one. Pure. Errors:
/// Unsupported, with the field.
[[nodiscard]] Result<void> check_ioapic(const schema::IoapicT& state);

/// In this order, and before any device that injects interrupts is restored. Errors: Io; Unsupported as
/// check_ioapic().
[[nodiscard]] Result<void> restore_i8259(const KvmVm& vm, const schema::I8259T& state);
[[nodiscard]] Result<void> restore_ioapic(const KvmVm& vm, const schema::IoapicT& state);
[[nodiscard]] Result<void> restore_i8254(const KvmVm& vm, const schema::I8254T& state);

}  // namespace vmsnap::vmm
