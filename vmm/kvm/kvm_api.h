// SPDX-License-Identifier: BSD-2-Clause
// <linux/kvm.h> for C++. Debian 12's headers declare flexible arrays with an empty struct in front, which has
// no size in C and one byte in C++: structures get the wrong size and, as ioctl numbers contain the size,
// KVM_SET_CPUID2 and others the wrong number. Everything of ours includes this instead.
#pragma once

#include <linux/stddef.h>

#undef __DECLARE_FLEX_ARRAY
// NOLINTNEXTLINE(bugprone-reserved-identifier)
#define __DECLARE_FLEX_ARRAY(type, name) __extension__ type name[0]

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

static_assert(sizeof(kvm_cpuid2) == 8 && sizeof(kvm_msrs) == 8 && sizeof(kvm_irq_routing) == 8);
static_assert(sizeof(kvm_msr_list) == 4 && sizeof(kvm_xsave) == 4096);

namespace vmsnap::vmm {

/// A structure of the kernel that ends in an array of `Entry`: `Header` and room for `count` entries, zero.
template <typename Header, typename Entry>
class WithEntries {
 public:
  explicit WithEntries(std::size_t count)
      : count_(count), words_((sizeof(Header) + count * sizeof(Entry) + 7) / 8) {}

  [[nodiscard]] Header* get() { return reinterpret_cast<Header*>(words_.data()); }
  Header* operator->() { return get(); }
  [[nodiscard]] std::size_t capacity() const { return count_; }

  [[nodiscard]] Entry entry(std::size_t index) const {
    Entry value;
    std::memcpy(&value, place(index), sizeof value);
    return value;
  }
  void set_entry(std::size_t index, const Entry& value) {
    std::memcpy(const_cast<std::byte*>(place(index)), &value, sizeof value);
  }

 private:
  [[nodiscard]] const std::byte* place(std::size_t index) const {
    return reinterpret_cast<const std::byte*>(words_.data()) + sizeof(Header) + index * sizeof(Entry);
  }

  std::size_t count_;
  std::vector<std::uint64_t> words_;
};

}  // namespace vmsnap::vmm
