// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/state_codec.h"

#include "core/state_buffer.h"
#include "kvm/state_check.h"

namespace vmsnap::vmm {
namespace {

template <typename Root>
Result<typename Root::NativeTableType> unpack(ByteView bytes, const char* identifier) {
  VMSNAP_ASSIGN_OR_RETURN(auto state, unpack_state<Root>(bytes, identifier));
  VMSNAP_RETURN_IF_ERROR(check_state(*state));
  return std::move(*state);
}

}  // namespace

Result<ByteVector> pack_x86_cpu(const schema::X86CpuT& state) {
  return pack_state(state, schema::X86CpuIdentifier());
}
Result<ByteVector> pack_lapic(const schema::LapicT& state) {
  return pack_state(state, schema::LapicIdentifier());
}
Result<ByteVector> pack_cpu_profile(const schema::CpuProfileT& state) {
  return pack_state(state, schema::CpuProfileIdentifier());
}
Result<ByteVector> pack_ioapic(const schema::IoapicT& state) {
  return pack_state(state, schema::IoapicIdentifier());
}
Result<ByteVector> pack_i8259(const schema::I8259T& state) {
  return pack_state(state, schema::I8259Identifier());
}
Result<ByteVector> pack_i8254(const schema::I8254T& state) {
  return pack_state(state, schema::I8254Identifier());
}
Result<ByteVector> pack_kvm_clock(const schema::KvmClockT& state) {
  return pack_state(state, schema::KvmClockIdentifier());
}

Result<schema::X86CpuT> unpack_x86_cpu(ByteView bytes) {
  return unpack<schema::X86Cpu>(bytes, schema::X86CpuIdentifier());
}
Result<schema::LapicT> unpack_lapic(ByteView bytes) {
  return unpack<schema::Lapic>(bytes, schema::LapicIdentifier());
}
Result<schema::CpuProfileT> unpack_cpu_profile(ByteView bytes) {
  return unpack<schema::CpuProfile>(bytes, schema::CpuProfileIdentifier());
}
Result<schema::IoapicT> unpack_ioapic(ByteView bytes) {
  return unpack<schema::Ioapic>(bytes, schema::IoapicIdentifier());
}
Result<schema::I8259T> unpack_i8259(ByteView bytes) {
  return unpack<schema::I8259>(bytes, schema::I8259Identifier());
}
Result<schema::I8254T> unpack_i8254(ByteView bytes) {
  return unpack<schema::I8254>(bytes, schema::I8254Identifier());
}
Result<schema::KvmClockT> unpack_kvm_clock(ByteView bytes) {
  return unpack<schema::KvmClock>(bytes, schema::KvmClockIdentifier());
}

}  // namespace vmsnap::vmm
