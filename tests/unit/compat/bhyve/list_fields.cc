// SPDX-License-Identifier: BSD-2-Clause
// list_fields KERN: for each line "CHUNK/SHAPE<tab>OFFSET SIZE VCPUS AXES" on standard input, the fields of
// that chunk of the file, one per line: path, type, offset, size, mark. Then a line with a dot. AXES has a
// letter for each: PCI prefix, rings, tail of virtio-net, ahci, xhci.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

#include "bhyve/layout/decode.h"
#include "bhyve/layout/layouts.h"

namespace {

using namespace vmsnap;
using namespace vmsnap::compat::bhyve;

int fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  return 1;
}

char letter_of(Mark mark) {
  return mark == Mark::kCompared ? 'c' : mark == Mark::kMeaningless ? 'm' : '-';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return fail("usage: list_fields KERN");
  std::ifstream file(argv[1], std::ios::binary);
  const std::string kern{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::size_t slash = line.find('/');
    const std::size_t tab = line.find('\t');
    std::istringstream numbers(line.substr(tab));
    std::size_t offset = 0;
    std::size_t size = 0;
    std::uint64_t vcpus = 0;
    std::string axes;
    if (!(numbers >> offset >> size >> vcpus >> axes) || axes.size() != 5)
      return fail(line + ": not a request");
    const Layout* layout = find_layout(line.substr(0, slash), line.substr(slash + 1, tab - slash - 1));
    if (layout == nullptr) return fail(line + ": no such layout");
    Context context;
    context.vcpus = vcpus;
    Shape* const shapes[] = {&context.pci_prefix, &context.rings, &context.net_tail, &context.ahci,
                             &context.xhci};
    for (std::size_t i = 0; i < axes.size(); ++i) *shapes[i] = axes[i] == 'A' ? Shape::kA : Shape::kB;
    const auto decoded = decode(*layout, context, as_byte_view(kern).subspan(offset, size));
    if (!decoded) return fail(decoded.error().to_string());
    if (!decoded->trailing().empty()) return fail(line + ": bytes are left");
    for (const Field& field : decoded->fields()) {
      std::cout << field.path << '\t' << to_string(field.item->type) << '\t' << field.offset << '\t'
                << field.size << '\t' << letter_of(field.mark) << '\n';
    }
    std::cout << ".\n";
  }
  return 0;
}
