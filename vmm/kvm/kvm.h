// SPDX-License-Identifier: BSD-2-Clause
// The KVM of this host, before there is a virtual machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cpu_profile_generated.h"
#include "kvm/calls.h"

namespace vmsnap::vmm {

/// An open /dev/kvm that has everything a virtual machine of ours needs. Move-only.
class Kvm {
 public:
  /// Opens `path`. Errors: Io when it cannot be opened; Unsupported, naming every missing capability.
  [[nodiscard]] static Result<Kvm> open(const std::string& path = "/dev/kvm");
  /// The same on calls of the caller's choice; for tests.
  [[nodiscard]] static Result<Kvm> open(const std::string& path, std::shared_ptr<KvmCalls> calls);

  [[nodiscard]] const KvmFd& fd() const { return fd_; }

  /// What KVM_GET_SUPPORTED_CPUID reports, in rising order of leaf and sub-leaf, with the TSC-deadline bit
  /// of leaf 1 set by the capability (api.rst 4.46: the call itself never tells). Errors: Io.
  [[nodiscard]] Result<std::vector<schema::CpuidLeaf>> supported_cpuid() const;

  /// Frequency of the host's TSC in kHz; 0 when the host has none that is stable (api.rst 4.56).
  [[nodiscard]] std::uint64_t host_tsc_khz() const { return host_tsc_khz_; }

  /// The TSC offset of a virtual CPU can be read and set, and setting it has an effect: hosts that interpret
  /// their guests take offsets and ignore them.
  [[nodiscard]] bool has_tsc_offset() const { return has_tsc_offset_; }

  /// Most virtual CPUs one VM may have.
  [[nodiscard]] std::uint32_t max_vcpus() const;

  /// Size of the communication page of a virtual CPU in bytes.
  [[nodiscard]] std::size_t run_size() const { return run_size_; }

 private:
  explicit Kvm(KvmFd fd) : fd_(std::move(fd)) {}

  KvmFd fd_;
  std::size_t run_size_ = 0;
  std::uint64_t host_tsc_khz_ = 0;
  bool has_tsc_offset_ = false;
};

}  // namespace vmsnap::vmm
