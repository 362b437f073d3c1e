// SPDX-License-Identifier: BSD-2-Clause
// The seven state types of this folder as the FlatBuffers of their chunks. unpack_*() takes bytes of any
// origin: structure first (bounded), then the meaning of every field, so what it returns holds to its
// schema. Whether *this host* can take the state is another question: prepare_restore(), check_profile().
// Errors of unpack_*(): LimitExceeded (size), Corrupt and Unsupported with the field. Pure; thread-safe.
#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "cpu_profile_generated.h"
#include "i8254_generated.h"
#include "i8259_generated.h"
#include "ioapic_generated.h"
#include "kvm_clock_generated.h"
#include "lapic_generated.h"
#include "x86_cpu_generated.h"

namespace vmsnap::vmm {

[[nodiscard]] Result<ByteVector> pack_x86_cpu(const schema::X86CpuT& state);
[[nodiscard]] Result<ByteVector> pack_lapic(const schema::LapicT& state);
[[nodiscard]] Result<ByteVector> pack_cpu_profile(const schema::CpuProfileT& state);
[[nodiscard]] Result<ByteVector> pack_ioapic(const schema::IoapicT& state);
[[nodiscard]] Result<ByteVector> pack_i8259(const schema::I8259T& state);
[[nodiscard]] Result<ByteVector> pack_i8254(const schema::I8254T& state);
[[nodiscard]] Result<ByteVector> pack_kvm_clock(const schema::KvmClockT& state);

[[nodiscard]] Result<schema::X86CpuT> unpack_x86_cpu(ByteView bytes);
[[nodiscard]] Result<schema::LapicT> unpack_lapic(ByteView bytes);
[[nodiscard]] Result<schema::CpuProfileT> unpack_cpu_profile(ByteView bytes);
[[nodiscard]] Result<schema::IoapicT> unpack_ioapic(ByteView bytes);
[[nodiscard]] Result<schema::I8259T> unpack_i8259(ByteView bytes);
[[nodiscard]] Result<schema::I8254T> unpack_i8254(ByteView bytes);
[[nodiscard]] Result<schema::KvmClockT> unpack_kvm_clock(ByteView bytes);

}  // namespace vmsnap::vmm
