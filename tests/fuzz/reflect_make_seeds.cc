// SPDX-License-Identifier: BSD-2-Clause
// reflect_make_seeds DIRECTORY: for every chunk type of this build, inputs of reflect_schema_fuzz
// (NAME.schema) and of reflect_walk_fuzz (NAME.known: data alone, NAME.carried: the schema with it).
#include <cstdio>
#include <fstream>
#include <string>

#include "any_data.h"
#include "format/chunk_type.h"

namespace {

using namespace vmsnap;

bool write(const std::string& name, const ByteVector& bytes) {
  std::ofstream file(name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return file.good();
}

void append(ByteVector& bytes, ByteView more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string directory = argv[1];
  std::vector<ChunkType> types = container_chunk_types();
  for (const ChunkType& type : device_chunk_types()) types.push_back(type);
  for (std::size_t i = 0; i < types.size(); ++i) {
    const auto model = reflect::SchemaModel::load(types[i].schema);
    if (!model) {
      std::fprintf(stderr, "%s\n", model.error().to_string().c_str());
      return 1;
    }
    const ByteVector data = reflect::make_any_data(*model);
    ByteVector known(5);
    known[4] = static_cast<std::byte>(i);
    append(known, data);
    ByteVector carried(4);
    store_le<std::uint32_t>(carried, 0, static_cast<std::uint32_t>(types[i].schema.size()));
    append(carried, types[i].schema);
    append(carried, data);
    const std::string stem = directory + "/" + std::string(types[i].name);
    const bool written =
        write(stem + ".schema", ByteVector(types[i].schema.begin(), types[i].schema.end())) &&
        write(stem + ".known", known) && write(stem + ".carried", carried);
    if (!written) {
      std::fprintf(stderr, "%s: cannot be written\n", stem.c_str());
      return 1;
    }
  }
  return 0;
}
