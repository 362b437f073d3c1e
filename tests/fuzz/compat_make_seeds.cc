// SPDX-License-Identifier: BSD-2-Clause
// compat_make_seeds DIRECTORY: writes states of every version of every device chunk type, as seeds for
// compat_fuzz.
#include <cstdio>
#include <fstream>
#include <string>

#include "any_data.h"
#include "versions/versions.h"

int main(int argc, char** argv) {
  using namespace vmsnap;
  if (argc != 2) {
    std::fprintf(stderr, "usage: compat_make_seeds DIRECTORY\n");
    return 2;
  }
  const std::vector<ChunkType> types = compat::frozen_device_chunk_types();
  for (std::size_t i = 0; i < types.size(); ++i) {
    const auto model = reflect::SchemaModel::load(types[i].schema);
    if (!model) {
      std::fprintf(stderr, "%s\n", model.error().to_string().c_str());
      return 1;
    }
    for (const bool every_field : {true, false}) {
      reflect::AnyDataOptions options;
      options.every_field = every_field;
      ByteVector seed{static_cast<std::byte>(i)};
      const ByteVector data = reflect::make_any_data(*model, options);
      seed.insert(seed.end(), data.begin(), data.end());
      const std::string file = std::string(argv[1]) + "/" + std::string(types[i].name) + "-" +
                               to_string(types[i].version) + (every_field ? "-full" : "-half") + ".state";
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
