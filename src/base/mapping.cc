// SPDX-License-Identifier: BSD-2-Clause
#include "base/mapping.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>

namespace vmsnap {

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) ::munmap(data_, size_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Mapping> Mapping::anonymous(std::size_t size) {
  void* data =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED)
    return io_error(fmt::format("cannot map {} bytes of anonymous memory", size), errno);
  return Mapping(static_cast<std::byte*>(data), size);
}

namespace {

Result<std::byte*> map_private(std::byte* place, const File& file, std::uint64_t offset, std::size_t size) {
  void* data = ::mmap(place, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_NORESERVE | (place != nullptr ? MAP_FIXED : 0), file.fd(),
                      static_cast<off_t>(offset));
  if (data == MAP_FAILED) {
    return io_error(fmt::format("cannot map {} bytes", size), errno).in_file(file.name()).at_offset(offset);
  }
  return static_cast<std::byte*>(data);
}

}  // namespace

Result<Mapping> Mapping::private_copy(const File& file, std::uint64_t offset, std::size_t size) {
  VMSNAP_ASSIGN_OR_RETURN(std::byte * data, map_private(nullptr, file, offset, size));
  return Mapping(data, size);
}

Result<void> Mapping::overlay(std::size_t offset, const File& file, std::uint64_t file_offset,
                              std::size_t size) {
  VMSNAP_RETURN_IF_ERROR(map_private(data_ + offset, file, file_offset, size));
  return {};
}

}  // namespace vmsnap
