// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/set/meta.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "bhyve/set/device_name.h"
#include "legacy_files.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::HasSubstr;

Error error_of(std::string_view text) {
  auto meta = parse_meta(text);
  if (meta) return {ErrorKind::kInternal, "it was accepted"};
  return std::move(meta).error();
}

TEST(Meta, ReadsGenerationA) {
  const auto meta = parse_meta(sample_meta("a"));
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(meta->ncpus, 2u);
  EXPECT_EQ(meta->vmname, "vm0");
  EXPECT_EQ(meta->memsize, 1u << 30);
  EXPECT_EQ(meta->memflags, 0u);
  EXPECT_EQ(meta->kernel_key, KernelKey::kStructs);
  EXPECT_EQ(meta->devices_key, DevicesKey::kDevices);
  ASSERT_EQ(meta->kernel.size(), 10u);
  const MetaEntry& vmx = meta->kernel[2];
  EXPECT_EQ(vmx.form, EntryForm::kSnapshotReq);
  EXPECT_EQ(vmx.request, 0u);
  EXPECT_EQ(vmx.debug_name, "vmx");
  EXPECT_EQ(vmx.size, 3584u);
  EXPECT_EQ(vmx.file_offset, 3228u);
  EXPECT_EQ(kernel_chunk(vmx), KernelChunk::kVmx);
  ASSERT_EQ(meta->devices.size(), 11u);
  EXPECT_EQ(meta->devices[1].form, EntryForm::kSnapshotReq);
  EXPECT_EQ(meta->devices[1].name, "virtio-net");
  EXPECT_EQ(meta->devices[1].request, std::nullopt);
  EXPECT_EQ(meta->devices[1].debug_name, std::nullopt);
  EXPECT_TRUE(meta->unknown_keys.empty());
}

TEST(Meta, ReadsGenerationC) {
  const auto meta = parse_meta(sample_meta("c"));
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(meta->kernel_key, KernelKey::kKernStructs);
  ASSERT_EQ(meta->kernel.size(), 9u);
  EXPECT_EQ(meta->kernel[1].form, EntryForm::kDevice);
  EXPECT_EQ(meta->kernel[1].name, "vm");
  EXPECT_EQ(kernel_chunk(meta->kernel[1]), KernelChunk::kVm);
  ASSERT_EQ(meta->devices.size(), 4u);
  EXPECT_EQ(meta->devices[1].name, "virtio-blk@pci.0.3.0");
  EXPECT_EQ(meta->devices[1].size, 8835u);
}

TEST(Meta, SaysWhereInTheTextEachEntryBegins) {
  const std::string text = sample_meta("b");
  const auto meta = parse_meta(text);
  ASSERT_TRUE(meta);
  EXPECT_EQ(text.substr(meta->basic_metadata_offset, 16), "{\n    \"ncpus\": 1");
  for (const MetaEntry& entry : meta->kernel)
    EXPECT_THAT(text.substr(entry.meta_offset, 60),
                HasSubstr("\"debug_name\": \"" + *entry.debug_name + '"'));
  for (const MetaEntry& entry : meta->devices)
    EXPECT_EQ(text.find("{\n      \"snapshot_req\": \"" + entry.name + '"', entry.meta_offset),
              entry.meta_offset);
}

TEST(Meta, ReadsEveryEntryInItsOwnForm) {
  const auto meta = parse_meta(sample_meta("mixed"));
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(meta->kernel_key, KernelKey::kKernStructs);
  EXPECT_EQ(meta->devices_key, DevicesKey::kPciDevices);
  EXPECT_EQ(meta->devices[1].name, "virtio-net-pci-0-4-0");

  const auto both = parse_meta(
      "{\"devices\": [{\"device\": \"lpc\", \"file_offset\": 1, \"size\": 2}, {\"snapshot_req\": \"e1000\", "
      "\"size\": 3, \"file_offset\": 4}, {\"size\": 5, \"snapshot_req\": 6, \"file_offset\": 7}], "
      "\"kern_structs\": "
      "[{\"snapshot_req\": \"vm\", \"size\": 8, \"file_offset\": 9}, {\"debug_name\": \"x\", \"device\": "
      "\"vrtc\", "
      "\"size\": 0, \"file_offset\": 0}], \"basic metadata\": {\"memsize\": 1, \"ncpus\": 1}}");
  ASSERT_TRUE(both) << both.error().to_string();
  EXPECT_EQ(both->devices[0].form, EntryForm::kDevice);
  EXPECT_EQ(both->devices[1].form, EntryForm::kSnapshotReq);
  EXPECT_EQ(both->devices[2].request, 6u);
  EXPECT_EQ(kernel_chunk(both->kernel[0]), KernelChunk::kVm);
  EXPECT_EQ(kernel_chunk(both->kernel[1]), KernelChunk::kVrtc);
  EXPECT_EQ(both->vmname, std::nullopt);
  EXPECT_EQ(parse_meta(*write_meta(*both)).value(), *both);
}

TEST(Meta, KernelChunksHaveTheNumbersOfTheReference) {
  constexpr std::pair<std::uint64_t, std::string_view> kNumbers[] = {
      {0, "vmx"},  {1, "vioapic"}, {2, "vm"},     {3, "vlapic"}, {5, "vhpet"},
      {6, "vmcx"}, {7, "vatpic"},  {8, "vatpit"}, {9, "vpmtmr"}, {10, "vrtc"}};
  EXPECT_EQ(std::size(kNumbers), all_kernel_chunks().size());
  for (const auto& [number, name] : kNumbers) {
    const auto chunk = kernel_chunk_by_request(number);
    ASSERT_TRUE(chunk) << number;
    EXPECT_EQ(to_string(*chunk), name);
    EXPECT_EQ(request_number(*chunk), number);
    EXPECT_EQ(kernel_chunk_by_name(name), chunk);
  }
  EXPECT_EQ(kernel_chunk_by_request(4), std::nullopt);
  EXPECT_EQ(kernel_chunk_by_request(11), std::nullopt);
  EXPECT_EQ(kernel_chunk_by_name("VM"), std::nullopt);
}

TEST(Meta, TextsOfBhyveComeBackByteForByte) {
  for (const char* name : {"a", "b", "c", "mixed", "raw_bytes"}) {
    const std::string text = sample_meta(name);
    const auto meta = parse_meta(text);
    ASSERT_TRUE(meta) << name << ": " << meta.error().to_string();
    const auto written = write_meta(*meta);
    ASSERT_TRUE(written) << written.error().to_string();
    EXPECT_EQ(*written, text) << name;
  }
}

TEST(Meta, NamesAreBytes) {
  const auto meta = parse_meta(sample_meta("raw_bytes"));
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(meta->vmname, "vm\x07\xc3\x28");
  EXPECT_EQ(meta->devices[0].name, "tab\there esc\x1b[31m \x01 del\x7f");
  EXPECT_EQ(meta->devices[1].name, "\xff\xfe bytes, \"quoted\" and \\ back");
  EXPECT_EQ(meta->devices[2].name,
            "Gr\xc3\xb6\xc3\x9f"
            "e\nnext\rline");
  EXPECT_EQ(label_of(meta->devices[0]), "tab\\there esc\\x1b[31m \\x01 del\\x7f");
}

Meta random_meta(std::mt19937_64& random) {
  const auto below = [&](std::uint64_t limit) { return random() % limit; };
  const auto number = [&] { return random() >> below(64); };
  const auto text = [&] {
    std::string out;
    for (auto length = below(12); length > 0; --length) {
      constexpr std::string_view kSpecial = "\"\\\n\r\t\x01\x1b\x7f/u{}[],:";
      out += below(2) == 0 ? kSpecial[below(kSpecial.size())] : static_cast<char>(1 + below(255));
    }
    return out;
  };
  const auto entries = [&](std::vector<MetaEntry>& out) {
    for (auto count = below(5); count > 0; --count) {
      MetaEntry entry;
      entry.form = below(2) == 0 ? EntryForm::kSnapshotReq : EntryForm::kDevice;
      if (entry.form == EntryForm::kSnapshotReq && below(2) == 0) {
        entry.request = number();
      } else {
        entry.name = text();
      }
      if (below(2) == 0) entry.debug_name = text();
      entry.size = number();
      entry.file_offset = number();
      out.push_back(entry);
    }
  };
  Meta meta;
  meta.ncpus = number();
  if (below(4) != 0) meta.vmname = text();
  meta.memsize = number();
  if (below(4) != 0) meta.memflags = number();
  meta.kernel_key = below(2) == 0 ? KernelKey::kStructs : KernelKey::kKernStructs;
  meta.devices_key = below(2) == 0 ? DevicesKey::kDevices : DevicesKey::kPciDevices;
  entries(meta.kernel);
  entries(meta.devices);
  return meta;
}

TEST(Meta, WhatIsWrittenReadsBackAsItWas) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 2000; ++i) {
    const Meta meta = random_meta(random);
    const auto text = write_meta(meta);
    ASSERT_TRUE(text) << text.error().to_string();
    const auto again = parse_meta(*text);
    ASSERT_TRUE(again) << again.error().to_string() << '\n' << *text;
    ASSERT_EQ(*again, meta) << *text;
    ASSERT_EQ(*write_meta(*again), *text);
  }
}

TEST(Meta, RefusesToWriteWhatNoMetaCanSay) {
  const Meta good = *parse_meta(sample_meta("a"));
  const auto refuses = [&](const auto& change, std::string_view word) {
    Meta meta = good;
    change(meta);
    const auto text = write_meta(meta);
    ASSERT_FALSE(text) << word;
    EXPECT_EQ(text.error().kind(), ErrorKind::kInvalidState);
    EXPECT_THAT(text.error().message(), HasSubstr(word));
  };
  refuses([](Meta& meta) { meta.vmname = std::string("a\0b", 3); }, "NUL");
  refuses([](Meta& meta) { meta.kernel[0].name = "vhpet"; }, "number 5 and a name");
  refuses([](Meta& meta) { meta.kernel[0].form = EntryForm::kDevice; }, "\"device\" is a name");
  refuses([](Meta& meta) { meta.devices.resize(kMaxMetaEntries); }, "more than 4096");
  refuses(
      [](Meta& meta) {
        meta.devices.resize(kMaxMetaEntries - meta.kernel.size());
        for (MetaEntry& entry : meta.devices) entry.name = std::string(1024, '"');
      },
      "bytes, more than 4194304");
}

TEST(Meta, ATextThatEndsInTheMiddleIsAFailedCheckpoint) {
  const std::string text = sample_meta("c");
  for (std::size_t length = 0; length + 2 < text.size(); ++length) {
    ASSERT_EQ(error_of(text.substr(0, length)).kind(), ErrorKind::kTruncated) << length;
  }
  const Error error = error_of(text.substr(0, text.find("\"virtio-blk")));
  EXPECT_THAT(error.message(), HasSubstr("after 9 kernel chunks and 1 devices"));
  EXPECT_THAT(error.message(), HasSubstr("failed"));
  EXPECT_EQ(error.offset(), text.find("\"virtio-blk"));
}

TEST(Meta, NamesTheEntryAndTheKeyOfABadNumber) {
  const std::string text = sample_meta("c");
  const auto with = [&](std::string_view number) {
    return error_of(replaced(text, "\"size\": 8835", "\"size\": " + std::string(number)));
  };
  for (const auto& [number, words] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"-1", "-1 is negative"},
           {"-0", "-0 is negative"},
           {"8835.5", "8835.5 is not written as a whole number"},
           {"1e3", "1e3 is not written as a whole number"},
           {"18446744073709551616", "18446744073709551616 is more than 64 bits hold"},
           {"\"8835\"", "should be a whole number, but is a text"},
           {"null", "should be a whole number, but is true, false or null"},
           {"[1]", "should be a whole number, but is an array"}}) {
    const Error error = with(number);
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << number;
    EXPECT_EQ(error.field(), "size");
    EXPECT_EQ(error.device(), "devices[1] \"virtio-blk@pci.0.3.0\"");
    EXPECT_EQ(error.offset(), text.find("8835")) << number;
    EXPECT_THAT(error.message(), HasSubstr(words));
  }
  const auto largest = parse_meta(replaced(text, "\"size\": 8835", "\"size\": 18446744073709551615"));
  ASSERT_TRUE(largest);
  EXPECT_EQ(largest->devices[1].size, UINT64_MAX);
  // However long the number is, the sentence is short.
  EXPECT_LT(with(std::string(1 << 20, '9')).to_string().size(), 400u);

  const Error kernel =
      error_of(replaced(sample_meta("a"), "\"file_offset\": 3228", "\"file_offset\": -3228"));
  EXPECT_EQ(kernel.chunk(), "structs[2] \"vmx\"");
  EXPECT_EQ(kernel.field(), "file_offset");
}

TEST(Meta, RefusesKeysThatAreMissingOrThereTwice) {
  const std::string a = sample_meta("a");
  const std::string c = sample_meta("c");
  for (const auto& [text, words] : std::initializer_list<std::pair<std::string, std::string_view>>{
           {replaced(c, "\"size\": 8835,", ""), "it has no \"size\""},
           {replaced(c, "\"size\": 8835,", "\"size\": 8835, \"size\": 8835,"), "the key is there twice"},
           {replaced(c, "\"device\": \"vm\",", ""), "neither \"device\" nor \"snapshot_req\""},
           {replaced(c, "\"device\": \"vm\",", "\"device\": \"vm\", \"device\": \"vm\","), "twice"},
           {replaced(c, "\"device\": \"vm\",", "\"device\": \"vm\", \"snapshot_req\": 2,"),
            "both \"device\""},
           {replaced(a, "\"snapshot_req\": 2,", "\"snapshot_req\": 2, \"snapshot_req\": \"vm\","), "twice"},
           {replaced(a, "\"debug_name\": \"vm\",", "\"debug_name\": 7,"),
            "should be a text, but is a number"},
           {replaced(a, "\"ncpus\": 2,", ""), "has no \"ncpus\""},
           {replaced(a, "\"memsize\": 1073741824,", ""), "has no \"memsize\""},
           {replaced(a, "\"ncpus\": 2,", "\"ncpus\": 2, \"ncpus\": 3,"), "twice"},
           {replaced(a, "\"vmname\": \"vm0\"", "\"vmname\": \"a\\u0000b\""), "stands for nothing"},
           {replaced(a, "basic metadata", "basic"), "no \"basic metadata\""},
           {replaced(a, "\"structs\"", "\"things\""), "neither \"structs\" nor \"kern_structs\""},
           {replaced(a, "\"devices\"", "\"structs\""), "the kernel's chunks twice"},
           {replaced(a, "\"devices\"", "\"kern_structs\""), "the kernel's chunks twice"},
           {replaced(a, "\"devices\"", "\"things\""), "neither \"devices\" nor \"pci_devices\""},
           {replaced(a, "\"structs\": [", "\"structs\": {"), "should be an array, but is an object"},
           {replaced(a, "\"structs\": [", "\"structs\": [7,"),
            "structs[0] should be an object, but is a number"},
           {"[]", "should be an object, but is an array"}}) {
    const Error error = error_of(text);
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt) << words << '\n' << error.to_string();
    EXPECT_THAT(error.message(), HasSubstr(words));
    EXPECT_TRUE(error.offset().has_value()) << words;
  }
}

TEST(Meta, SkipsKeysThatBhyveDoesNotWriteAndRemembersThem) {
  const std::string text =
      replaced(replaced(sample_meta("c"), "\"size\": 8835,", "\"size\": 8835, \"msix\": [2, {}],"),
               "\"kern_structs\"", "\"\x1b" + std::string(5000, 'k') + "\": {}, \"kern_structs\"");
  const auto meta = parse_meta(text);
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(*meta, *parse_meta(sample_meta("c")));
  ASSERT_EQ(meta->unknown_keys.size(), 2u);
  EXPECT_LT(meta->unknown_keys[0].path.size(), 100u);
  EXPECT_TRUE(meta->unknown_keys[0].path.starts_with("\\x1bkkk"));
  EXPECT_EQ(meta->unknown_keys[1].path, "devices[1].msix");
  EXPECT_EQ(meta->unknown_keys[1].meta_offset, text.find("\"msix\""));
}

TEST(Meta, KeepsWithinItsLimitsWhateverTheText) {
  const auto around = [](const std::string& inside) {
    return "{\"structs\": [" + inside + "], " + sample_meta("c").substr(1);
  };
  const std::string entry = R"({"device": "vm", "size": 1, "file_offset": 1},)";
  std::string many;
  for (std::size_t i = 0; i <= kMaxMetaEntries; ++i) many += entry;
  EXPECT_EQ(error_of(around(many)).kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(error_of(std::string(kMaxMetaTextSize + 1, ' ')).kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(error_of(std::string(kMaxMetaTextSize, '[')).kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(error_of("{\"x\": " + std::string(kMaxMetaTextSize - 6, '[')).kind(), ErrorKind::kLimitExceeded);
  EXPECT_EQ(error_of("{\"x\": \"" + std::string(kMaxMetaTextSize - 7, 'a')).kind(), ErrorKind::kTruncated);
  // A name is as long as the text allows, and no error repeats it.
  const std::string name(kMaxMetaTextSize - 200, 'n');
  const auto long_name =
      parse_meta(only_entry("\"device\": \"" + name + "\", \"size\": 1, \"file_offset\": 1"));
  ASSERT_TRUE(long_name) << long_name.error().to_string();
  EXPECT_EQ(long_name->kernel[0].name, name);
  EXPECT_LT(error_of(only_entry("\"device\": \"" + name + "\", \"size\": -1")).to_string().size(), 300u);

  std::string keys = "{";
  for (int i = 0; i < 300000; ++i) keys += "\"k\": 1,";
  const auto meta = parse_meta(keys + sample_meta("c").substr(1));
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(meta->unknown_keys.size(), kMaxUnknownKeys);
}

TEST(DeviceName, ReadsThePciAddressOfBothSpellings) {
  for (const std::string_view name : {"virtio-blk@pci.0.3.0", "virtio-blk-pci-0-3-0"}) {
    const DeviceName device = parse_device_name(name);
    EXPECT_EQ(device.emulation, "virtio-blk");
    EXPECT_EQ(device.pci, (PciAddress{0, 3, 0}));
  }
  EXPECT_EQ(parse_device_name("e1000@pci.255.31.7").pci, (PciAddress{255, 31, 7}));
}

TEST(DeviceName, IsTheWholeNameWhereNoAddressCanBeRead) {
  for (const std::string_view name :
       {"atkbdc", "virtio-net", "", "@", "x@pci.0.3", "x@pci.0.3.0.1", "x@pci.256.0.0", "x@pci.0.32.0",
        "x@pci.0.0.8", "x@pci.-1.0.0", "x@pci.0.3.0 ", "x@pci..3.0", "x-pci-0.3.0", "x@pci.0-3-0",
        "x@isa.0.3.0"}) {
    const DeviceName device = parse_device_name(name);
    EXPECT_EQ(device.emulation, name);
    EXPECT_EQ(device.pci, std::nullopt) << name;
  }
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
