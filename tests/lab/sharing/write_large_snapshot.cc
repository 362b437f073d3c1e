// SPDX-License-Identifier: BSD-2-Clause
// Writes a snapshot with much memory, of which next to nothing is zero or there twice; see
// sharing_scenario.py.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "small_snapshot.h"

int main(int argc, char** argv) {
  const unsigned long mebibytes = argc == 4 ? std::strtoul(argv[2], nullptr, 10) : 0;
  const std::string encoding = argc == 4 ? argv[3] : "";
  if (mebibytes == 0 || mebibytes > 4096 || (encoding != "flat" && encoding != "extents")) {
    std::fputs("usage: write_large_snapshot FILE MEBIBYTES flat|extents\n", stderr);
    return 2;
  }
  vmsnap::test::SmallSnapshotOptions memory;
  memory.ram_low_size = std::uint64_t{mebibytes} << 20;
  const vmsnap::test::SmallSnapshot snapshot(memory);
  vmsnap::SnapshotContents contents = snapshot.contents();
  // No release has a clock with the feature that this one is said to have, so none could restore it.
  for (vmsnap::DeviceEntry& device : contents.manifest.devices) device.features.clear();
  vmsnap::SnapshotWriteOptions options;
  options.encoding = encoding == "flat" ? vmsnap::RamEncoding::kFlat : vmsnap::RamEncoding::kExtents;
  const auto written = vmsnap::write_snapshot(argv[1], contents, vmsnap::device_chunk_types(), options);
  if (written) return 0;
  std::fprintf(stderr, "write_large_snapshot: %s\n", written.error().to_string().c_str());
  return 1;
}
