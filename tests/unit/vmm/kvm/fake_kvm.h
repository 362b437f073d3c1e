// SPDX-License-Identifier: BSD-2-Clause
// A KVM that records what it is asked, keeps MSRs and TSC offsets, and can be told to fail.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kvm/calls.h"
#include "kvm/kvm_api.h"

namespace vmsnap::vmm::test {

class FakeKvm final : public KvmCalls {
 public:
  /// A call that was made: "cpu1 SET_LAPIC", "vm SET_CLOCK", "cpu0 SET_MSR 0x6e0" (one per register).
  std::vector<std::string> trace;
  /// Calls in that spelling, to be refused.
  std::set<std::string> refused;
  /// Capabilities whose answer is 0 instead of yes.
  std::set<int> lacking;
  /// MSRs that cannot be read, and such that cannot be written.
  std::set<std::uint32_t> unreadable;
  std::set<std::uint32_t> unwritable;
  /// What KVM_GET_MSR_INDEX_LIST says.
  std::vector<std::uint32_t> listed{0x10, 0x174, 0xc0000081, 0x480, 0x6e0, 0x40000000};
  /// TSC offsets are taken and have no effect.
  bool ignores_tsc_offset = false;
  std::uint64_t tsc = 1'000'000'000;
  std::optional<kvm_clock_data> clock_set;
  std::map<int, std::map<std::uint32_t, std::uint64_t>> msrs;  // by virtual CPU
  std::map<int, std::uint64_t> tsc_offset;
  std::map<int, kvm_lapic_state> lapic;
  std::function<void(const kvm_irq_level&)> on_irq_line;

  int ioctl(int fd, unsigned long request, void* argument) override;
  void* map(int fd, std::size_t size) override;
  void unmap(void* address, std::size_t size) override;
  unsigned long long host_tsc() override { return tsc; }

  /// Position of the first (or last) call in the trace; fails the test when there is none.
  [[nodiscard]] std::size_t first(const std::string& call) const;
  [[nodiscard]] std::size_t last(const std::string& call) const;
  [[nodiscard]] bool called(const std::string& call) const;

 private:
  int new_fd(int role);
  int answer(int role, unsigned long request, void* argument, const std::string& who);
  int move_msrs(int vcpu, bool write, kvm_msrs* table, const std::string& who);

  std::map<int, int> roles_;  // by descriptor: kVmRole, or the number of a virtual CPU
};

}  // namespace vmsnap::vmm::test
