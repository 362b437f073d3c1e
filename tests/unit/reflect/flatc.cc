// SPDX-License-Identifier: BSD-2-Clause
#include "flatc.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "../base/temp_dir.h"

namespace vmsnap::reflect {
namespace {

constexpr std::string_view kAttributes = R"(
attribute "chunk_name"; attribute "chunk_version"; attribute "hex"; attribute "gpa"; attribute "image";
attribute "unit";
)";

void write(const std::string& name, std::string_view text) {
  std::ofstream(name, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
}

void write_schema(const TempDir& directory, const std::string& name, std::string_view fbs) {
  write(directory.file(name), std::string(kAttributes) + std::string(fbs));
}

ByteVector read(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const ByteView bytes = as_byte_view(text);
  return {bytes.begin(), bytes.end()};
}

bool run(const TempDir& directory, const std::string& arguments) {
  const std::string command =
      "cd '" + directory.path().string() + "' && '" VMSNAP_FLATC "' " + arguments + " >log 2>&1";
  return std::system(command.c_str()) == 0;
}

void run_or_abort(const TempDir& directory, const std::string& arguments) {
  if (run(directory, arguments)) return;
  const ByteVector log = read(directory.file("log"));
  std::fprintf(stderr, "flatc %s: %.*s\n", arguments.c_str(), static_cast<int>(log.size()),
               reinterpret_cast<const char*>(log.data()));
  std::abort();
}

}  // namespace

ByteVector compile_schema(std::string_view fbs) {
  const TempDir directory;
  write_schema(directory, "t.fbs", fbs);
  run_or_abort(directory, "--schema -b --bfbs-comments --bfbs-builtins --bfbs-filenames . t.fbs");
  return read(directory.file("t.bfbs"));
}

ByteVector compile_data(std::string_view fbs, std::string_view json) {
  const TempDir directory;
  write_schema(directory, "t.fbs", fbs);
  write(directory.file("t.json"), json);
  run_or_abort(directory, "-b t.fbs t.json");
  return read(directory.file("t.bin"));
}

bool flatc_conforms(std::string_view frozen, std::string_view current) {
  const TempDir directory;
  write_schema(directory, "frozen.fbs", frozen);
  write_schema(directory, "current.fbs", current);
  return run(directory, "--conform frozen.fbs current.fbs");
}

SchemaModel compile_model(std::string_view fbs) {
  auto model = SchemaModel::load(compile_schema(fbs));
  if (!model) {
    std::fprintf(stderr, "%s\n", model.error().to_string().c_str());
    std::abort();
  }
  return std::move(*model);
}

}  // namespace vmsnap::reflect
