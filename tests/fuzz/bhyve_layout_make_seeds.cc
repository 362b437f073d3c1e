// SPDX-License-Identifier: BSD-2-Clause
// bhyve_layout_make_seeds DIRECTORY: writes chunks of every layout in both shapes, as seeds for
// bhyve_layout_fuzz. None of fbuf, whose 16 MiB of opaque bytes would only slow it down.
#include <cstdio>
#include <fstream>
#include <string>

#include "bhyve/layout/layouts.h"
#include "bhyve_chunks.h"

int main(int argc, char** argv) {
  using namespace vmsnap;
  using namespace vmsnap::compat::bhyve;
  if (argc != 2) {
    std::fprintf(stderr, "usage: bhyve_layout_make_seeds DIRECTORY\n");
    return 2;
  }
  constexpr std::uint8_t kVcpus = 2;
  constexpr std::uint8_t kOthers = 1;
  constexpr std::uint8_t kFindCounts = 0x80;
  const std::vector<const Layout*> layouts = all_layouts();
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    if (layouts[i]->chunk == "fbuf") continue;
    for (const Shape shape : {Shape::kA, Shape::kB}) {
      Context context;
      context.set_shapes(shape);
      context.vcpus = kVcpus;
      context.uarts = context.cpuset_longs = context.usb_devices = kOthers;
      const std::uint8_t axes = shape == Shape::kB ? 0xff : 0;
      ByteVector seed{static_cast<std::byte>(i), std::byte{axes}, std::byte{kVcpus},
                      std::byte{shape == Shape::kB ? kFindCounts : kOthers}};
      const RandomChunk chunk = make_random_chunk(*layouts[i], context, i);
      seed.insert(seed.end(), chunk.bytes.begin(), chunk.bytes.end());
      const std::string file =
          std::string(argv[1]) + "/" + std::to_string(i) + "-" + std::string(to_string(shape)) + ".chunk";
      std::ofstream stream(file, std::ios::binary);
      stream.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
      if (!stream.flush()) {
        std::fprintf(stderr, "%s: cannot be written\n", file.c_str());
        return 1;
      }
    }
  }
  return 0;
}
