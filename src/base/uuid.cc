// SPDX-License-Identifier: BSD-2-Clause
#include "base/uuid.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <cerrno>

namespace vmsnap {

Result<Uuid> Uuid::random() {
  Uuid uuid;
  // Requests of up to 256 bytes are never cut short once the pool is ready (getrandom(2)).
  if (::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0) != static_cast<ssize_t>(uuid.bytes.size())) {
    return io_error("getrandom for a snapshot UUID", errno);
  }
  uuid.bytes[6] = (uuid.bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  uuid.bytes[8] = (uuid.bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  return uuid;
}

std::string to_string(const Uuid& uuid) {
  std::string out;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", std::to_integer<unsigned>(uuid.bytes[i]));
  }
  return out;
}

}  // namespace vmsnap
