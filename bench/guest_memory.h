// SPDX-License-Identifier: BSD-2-Clause
// What the benchmarks save and restore: memory as guests have it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "snapshot/snapshot_writer.h"

namespace vmsnap::bench {

/// Memory in huge pages: runs of data (programs of this machine, one after the other) between runs of pages
/// that are zero but present, about as much of the one as of the other; the same in every call. `size` is a
/// multiple of the page size.
[[nodiscard]] Mapping guest_memory(std::size_t size);

/// 512 MiB of it, the same in all of a program.
[[nodiscard]] const Mapping& memory_to_save();

/// The runs of pages of `memory` that are not zero, each at most 1 MiB: what a program must write that knows
/// beforehand where they are.
[[nodiscard]] std::vector<ByteView> data_runs(ByteView memory);

/// A snapshot's contents with `memory` as its only segment and no devices.
[[nodiscard]] SnapshotContents contents_of(ByteView memory);

/// `name` in the folder that VMSNAP_BENCH_DIR names, or else in /tmp.
[[nodiscard]] std::string bench_file(const std::string& name);

/// Ends the program with the sentence of the error.
[[noreturn]] void fail(const Error& error);

/// The value, or fail().
template <typename T>
[[nodiscard]] T value_of(Result<T> result) {
  if (!result) fail(result.error());
  return std::move(*result);
}
inline void expect_done(const Result<void>& result) {
  if (!result) fail(result.error());
}

}  // namespace vmsnap::bench
