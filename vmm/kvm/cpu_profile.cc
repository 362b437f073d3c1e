// SPDX-License-Identifier: BSD-2-Clause
#include "kvm/cpu_profile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "kvm/cpu_features.h"
#include "kvm/kvm_api.h"
#include "kvm/tsc_frequency.h"

namespace vmsnap::vmm {
namespace {

using Leaf = schema::CpuidLeaf;
using Leaves = std::vector<Leaf>;

constexpr std::uint32_t kProfileVersion = 1;

constexpr std::uint32_t kHypervisorBase = 0x40000000;
constexpr std::uint32_t kHypervisorFeatures = 0x40000001;
constexpr std::uint32_t kExtendedBase = 0x80000000;
constexpr std::uint32_t kBrandFirst = 0x80000002;
constexpr std::uint32_t kBrandLast = 0x80000004;
constexpr std::uint32_t kAddressSizes = 0x80000008;
constexpr std::uint32_t kCacheTopologyAmd = 0x8000001d;
constexpr std::uint32_t kTopologyAmd = 0x8000001e;

constexpr std::uint32_t kBaselineMaxBasic = 0xb;
constexpr std::uint32_t kHostMaxBasic = 0x1f;
constexpr std::uint32_t kBaselineMaxExtended = kAddressSizes;
constexpr std::uint32_t kHostMaxExtended = 0x80000021;

constexpr std::uint32_t kHypervisorBit = 1u << 31;  // leaf 1 ECX
constexpr std::uint32_t kXsaveBit = 1u << 26;       // leaf 1 ECX
constexpr std::uint32_t kHttBit = 1u << 28;         // leaf 1 EDX
constexpr std::uint32_t kCmpLegacyBit = 1u << 1;    // leaf 80000001h ECX
constexpr std::string_view kAmdVendor = "AuthenticAMD";
constexpr std::string_view kHygonVendor = "HygonGenuine";
constexpr std::string_view kBaselineBrand = "vmsnap baseline processor";

// Leaves without feature bits that a profile shows as the host has them.
constexpr std::uint32_t kHostLeaves[] = {
    0x0,          0x1,        0x2,           0x4,           0x6,         0x7,        0xb,
    0xd,          0x1f,       kExtendedBase, 0x80000001,    kBrandFirst, 0x80000003, kBrandLast,
    0x80000005,   0x80000006, 0x80000007,    kAddressSizes, 0x80000019,  0x8000001a, kCacheTopologyAmd,
    kTopologyAmd, 0x80000021};
constexpr std::uint32_t kBaselineLeaves[] = {0x0,        0x1,           0x6,        0x7,
                                             0xb,        kExtendedBase, 0x80000001, kBrandFirst,
                                             0x80000003, kBrandLast,    0x80000007, kAddressSizes};

std::string vendor_of(std::span<const Leaf> leaves) {
  const Leaf* zero = find_leaf(leaves, 0);
  if (zero == nullptr) return {};
  std::array<std::uint32_t, 3> words{zero->ebx(), zero->edx(), zero->ecx()};
  std::string vendor(sizeof words, '\0');
  std::memcpy(vendor.data(), words.data(), sizeof words);
  return vendor;
}

bool is_amd(std::string_view vendor) {
  return vendor == kAmdVendor || vendor == kHygonVendor;
}

const FeatureWord* find_word(std::uint32_t leaf, std::uint32_t subleaf, CpuidRegister reg) {
  const auto words = feature_words();
  const auto found = std::find_if(words.begin(), words.end(), [&](const FeatureWord& word) {
    return word.leaf == leaf && word.subleaf == subleaf && word.reg == reg;
  });
  return found == words.end() ? nullptr : &*found;
}

void keep_features(Leaf& leaf, ProfileKind kind) {
  for (const CpuidRegister reg :
       {CpuidRegister::kEax, CpuidRegister::kEbx, CpuidRegister::kEcx, CpuidRegister::kEdx}) {
    const FeatureWord* word = find_word(leaf.leaf(), leaf.subleaf(), reg);
    if (word == nullptr) continue;
    const std::uint32_t kept = kind == ProfileKind::kBaseline ? word->baseline : ~word->never_shown;
    set_register(leaf, reg, register_of(leaf, reg) & kept);
  }
}

// What is recomputed for each virtual CPU or at run time is zero in a profile.
void clear_derived(Leaf& leaf) {
  switch (leaf.leaf()) {
    case 0x1:
      set_register(leaf, CpuidRegister::kEbx, leaf.ebx() & 0xffff);
      break;
    case 0x4:
    case kCacheTopologyAmd:
      set_register(leaf, CpuidRegister::kEax, leaf.eax() & 0x3fff);
      break;
    case 0xb:
    case 0x1f:
    case kTopologyAmd:
      leaf = Leaf(leaf.leaf(), leaf.subleaf(), leaf.indexed(), 0, 0, 0, 0);
      break;
    case 0xd:
      if (leaf.subleaf() < 2) set_register(leaf, CpuidRegister::kEbx, 0);
      break;
    case kAddressSizes:
      set_register(leaf, CpuidRegister::kEcx, 0);
      break;
    default:
      break;
  }
}

void set_brand(Leaves& leaves) {
  std::array<char, 48> text{};
  std::copy(kBaselineBrand.begin(), kBaselineBrand.end(), text.begin());
  for (Leaf& leaf : leaves) {
    if (leaf.leaf() < kBrandFirst || leaf.leaf() > kBrandLast) continue;
    std::array<std::uint32_t, 4> words{};
    std::memcpy(words.data(), text.data() + std::size_t{16} * (leaf.leaf() - kBrandFirst), sizeof words);
    leaf = Leaf(leaf.leaf(), 0, 0, words[0], words[1], words[2], words[3]);
  }
}

void add_hypervisor_leaves(Leaves& leaves, std::span<const Leaf> supported, ProfileKind kind) {
  std::array<std::uint32_t, 3> signature{};
  std::memcpy(signature.data(), "KVMKVMKVM\0\0\0", sizeof signature);
  leaves.emplace_back(kHypervisorBase, 0u, 0u, kHypervisorFeatures, signature[0], signature[1], signature[2]);
  const Leaf* offered = find_leaf(supported, kHypervisorFeatures);
  Leaf features(kHypervisorFeatures, 0, 0, offered == nullptr ? 0 : offered->eax(), 0, 0, 0);
  keep_features(features, kind);
  leaves.push_back(features);
}

// Core IDs are dense and every virtual CPU is a core of its own in one package.
unsigned id_bits(std::uint32_t count) {
  return static_cast<unsigned>(std::bit_width(count - 1));
}

void append_topology(Leaves& leaves, std::uint32_t leaf, std::uint32_t index, std::uint32_t count) {
  constexpr std::uint32_t kSmt = 1u << 8;
  constexpr std::uint32_t kCore = 2u << 8;
  leaves.emplace_back(leaf, 0u, 1u, 0u, 1u, kSmt | 0u, index);
  leaves.emplace_back(leaf, 1u, 1u, id_bits(count), count, kCore | 1u, index);
}

std::uint32_t with_sharing(std::uint32_t eax, std::uint32_t count, bool core_field) {
  const std::uint32_t type = eax & 0x1f;
  if (type == 0) return eax;
  const std::uint32_t ids = (1u << id_bits(count)) - 1;
  const std::uint32_t level = (eax >> 5) & 7;
  eax &= 0x3fff;
  if (level >= 3) eax |= std::min(ids, 0xfffu) << 14;
  if (core_field) eax |= std::min(ids, 0x3fu) << 26;
  return eax;
}

}  // namespace

const Leaf* find_leaf(std::span<const Leaf> leaves, std::uint32_t leaf, std::uint32_t subleaf) {
  const auto found = std::find_if(leaves.begin(), leaves.end(), [&](const Leaf& candidate) {
    return candidate.leaf() == leaf && (candidate.indexed() == 0 || candidate.subleaf() == subleaf);
  });
  return found == leaves.end() ? nullptr : &*found;
}

Result<ProfileKind> parse_profile_kind(std::string_view name) {
  if (name == "host") return ProfileKind::kHost;
  if (name == "baseline") return ProfileKind::kBaseline;
  return Error(ErrorKind::kUsage, fmt::format("there is no CPU profile \"{}\"; use host or baseline", name));
}

schema::CpuProfileT make_profile(std::span<const Leaf> supported, std::uint64_t tsc_khz, ProfileKind kind) {
  const bool baseline = kind == ProfileKind::kBaseline;
  const std::span<const std::uint32_t> shown = baseline ? std::span<const std::uint32_t>(kBaselineLeaves)
                                                        : std::span<const std::uint32_t>(kHostLeaves);
  schema::CpuProfileT profile;
  profile.name = baseline ? "baseline" : "host";
  profile.profile_version = kProfileVersion;
  profile.vendor = vendor_of(supported);
  profile.tsc_frequency = tsc_khz;

  Leaves& leaves = profile.leaves;
  for (Leaf leaf : supported) {
    if (std::find(shown.begin(), shown.end(), leaf.leaf()) == shown.end()) continue;
    if (baseline && leaf.leaf() == 0x7 && leaf.subleaf() != 0) continue;
    // All levels of a topology leaf are made anew.
    if ((leaf.leaf() == 0xb || leaf.leaf() == 0x1f) && leaf.subleaf() != 0) continue;
    keep_features(leaf, kind);
    clear_derived(leaf);
    if (leaf.leaf() == 0x0)
      set_register(leaf, CpuidRegister::kEax,
                   std::min(leaf.eax(), baseline ? kBaselineMaxBasic : kHostMaxBasic));
    if (leaf.leaf() == 0x1) set_register(leaf, CpuidRegister::kEcx, leaf.ecx() | kHypervisorBit);
    if (leaf.leaf() == 0x7 && leaf.subleaf() == 0 && baseline) set_register(leaf, CpuidRegister::kEax, 0);
    if (leaf.leaf() == kExtendedBase) {
      set_register(leaf, CpuidRegister::kEax,
                   std::min(leaf.eax(), baseline ? kBaselineMaxExtended : kHostMaxExtended));
    }
    leaves.push_back(leaf);
  }
  if (baseline) set_brand(leaves);

  const Leaf* processor = find_leaf(leaves, 0x1);
  const bool has_xsave = processor != nullptr && (processor->ecx() & kXsaveBit) != 0;
  const std::uint64_t xcr0 = allowed_xcr0(profile);
  std::erase_if(leaves, [&](const Leaf& leaf) {
    if (leaf.leaf() != 0xd) return false;
    const bool component = leaf.subleaf() >= 2;
    return !has_xsave || (component && (leaf.subleaf() > 63 || ((xcr0 >> leaf.subleaf()) & 1) == 0));
  });
  add_hypervisor_leaves(leaves, supported, kind);
  std::sort(leaves.begin(), leaves.end(), [](const Leaf& a, const Leaf& b) {
    return a.leaf() != b.leaf() ? a.leaf() < b.leaf() : a.subleaf() < b.subleaf();
  });
  return profile;
}

Result<schema::CpuProfileT> make_profile(const Kvm& kvm, ProfileKind kind) {
  VMSNAP_ASSIGN_OR_RETURN(const Leaves supported, kvm.supported_cpuid());
  return make_profile(supported, kvm.host_tsc_khz(), kind);
}

std::uint64_t allowed_xcr0(const schema::CpuProfileT& profile) {
  const Leaf* processor = find_leaf(profile.leaves, 0x1);
  const Leaf* xsave = find_leaf(profile.leaves, 0xd, 0);
  if (processor == nullptr || (processor->ecx() & kXsaveBit) == 0 || xsave == nullptr) return 0;
  return std::uint64_t{xsave->edx()} << 32 | xsave->eax();
}

std::vector<std::string> missing_features(const schema::CpuProfileT& profile,
                                          std::span<const Leaf> supported) {
  std::vector<std::string> missing;
  const std::string host_vendor = vendor_of(supported);
  if (profile.vendor != host_vendor) missing.push_back(fmt::format("vendor {}", profile.vendor));

  for (const FeatureWord& word : feature_words()) {
    const Leaf* wanted = find_leaf(profile.leaves, word.leaf, word.subleaf);
    if (wanted == nullptr) continue;
    const Leaf* offered = find_leaf(supported, word.leaf, word.subleaf);
    const std::uint32_t lacking =
        register_of(*wanted, word.reg) & ~word.not_features &
        ~(offered == nullptr ? 0 : register_of(*offered, word.reg) & ~word.never_shown);
    for (unsigned bit = 0; bit < 32; ++bit) {
      if (((lacking >> bit) & 1) == 0) continue;
      std::string name = feature_name(word, bit);
      // Leaf 80000001h repeats bits of leaf 1 on AMD processors.
      if (std::find(missing.begin(), missing.end(), name) == missing.end())
        missing.push_back(std::move(name));
    }
  }

  // Where an XSAVE component lies differs between processors, and the saved area has the places of the first.
  const std::uint64_t xcr0 = allowed_xcr0(profile);
  for (std::uint32_t component = 2; component < 63; ++component) {
    if (((xcr0 >> component) & 1) == 0) continue;
    const Leaf* wanted = find_leaf(profile.leaves, 0xd, component);
    const Leaf* offered = find_leaf(supported, 0xd, component);
    if (wanted == nullptr || offered == nullptr) continue;
    if (wanted->eax() != offered->eax() || wanted->ebx() != offered->ebx()) {
      missing.push_back(fmt::format("XSAVE component {} at offset {}", component, wanted->ebx()));
    }
  }

  const Leaf* wanted = find_leaf(profile.leaves, kAddressSizes);
  const Leaf* offered = find_leaf(supported, kAddressSizes);
  if (wanted != nullptr && offered != nullptr) {
    if ((wanted->eax() & 0xff) > (offered->eax() & 0xff)) {
      missing.push_back(fmt::format("{} physical address bits", wanted->eax() & 0xff));
    }
    if (((wanted->eax() >> 8) & 0xff) > ((offered->eax() >> 8) & 0xff)) {
      missing.push_back(fmt::format("{} linear address bits", (wanted->eax() >> 8) & 0xff));
    }
  }
  return missing;
}

Result<void> check_profile(const schema::CpuProfileT& profile, const Kvm& kvm) {
  VMSNAP_ASSIGN_OR_RETURN(const Leaves supported, kvm.supported_cpuid());
  const std::vector<std::string> missing = missing_features(profile, supported);
  if (!missing.empty()) {
    return Error(ErrorKind::kUnsupported, fmt::format("the guest's processor has what this host cannot give: "
                                                      "{}; restore on a host that has it, or "
                                                      "start such guests with the baseline CPU profile",
                                                      fmt::join(missing, ", ")))
        .in_field("leaves");
  }
  const bool scaling = kvm.fd().extension(KVM_CAP_TSC_CONTROL) > 0;
  if (fit_tsc_frequency(profile.tsc_frequency, kvm.host_tsc_khz(), scaling) == TscFit::kImpossible) {
    return tsc_frequency_error(profile.tsc_frequency, kvm.host_tsc_khz());
  }
  return {};
}

std::vector<Leaf> leaves_for_vcpu(const schema::CpuProfileT& profile, std::uint32_t index,
                                  std::uint32_t count) {
  const bool amd = is_amd(profile.vendor);
  Leaves leaves;
  for (Leaf leaf : profile.leaves) {
    switch (leaf.leaf()) {
      case 0x1:
        set_register(leaf, CpuidRegister::kEbx,
                     (leaf.ebx() & 0xffff) | std::min(count, 0xffu) << 16 | (index & 0xff) << 24);
        set_register(leaf, CpuidRegister::kEdx, count > 1 ? leaf.edx() | kHttBit : leaf.edx() & ~kHttBit);
        break;
      case 0x4:
        set_register(leaf, CpuidRegister::kEax, with_sharing(leaf.eax(), count, true));
        break;
      case kCacheTopologyAmd:
        set_register(leaf, CpuidRegister::kEax, with_sharing(leaf.eax(), count, false));
        break;
      case 0xb:
      case 0x1f:
        append_topology(leaves, leaf.leaf(), index, count);
        continue;
      case 0x80000001:
        set_register(leaf, CpuidRegister::kEcx,
                     amd && count > 1 ? leaf.ecx() | kCmpLegacyBit : leaf.ecx() & ~kCmpLegacyBit);
        break;
      case kAddressSizes:
        if (amd) set_register(leaf, CpuidRegister::kEcx, std::min(count - 1, 0xffu) | id_bits(count) << 12);
        break;
      case kTopologyAmd:
        leaf = Leaf(kTopologyAmd, 0, leaf.indexed(), index, index & 0xff, 0, 0);
        break;
      default:
        break;
    }
    leaves.push_back(leaf);
  }
  return leaves;
}

}  // namespace vmsnap::vmm
