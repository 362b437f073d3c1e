// SPDX-License-Identifier: BSD-2-Clause
// The machine between two formats: the states of its devices, each in the chunk type of its hardware, and its
// memory. Reading a legacy snapshot fills it, writing one asks it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/gpa.h"
#include "base/result.h"
#include "bhyve/vocabulary.h"
#include "migrate/state_tree.h"
#include "reflect/schema_model.h"

namespace vmsnap::compat::bhyve {

/// Guest memory as far as a conversion looks at it: rings of virtqueues, which legacy snapshots hold twice.
class GuestMemory {
 public:
  virtual ~GuestMemory() = default;
  /// Errors: Corrupt when a byte of the range is in no memory; LimitExceeded above 1 MiB; Io.
  [[nodiscard]] virtual Result<ByteVector> read(Gpa address, std::uint64_t size) const = 0;
  /// Changes the memory of the snapshot that is written; the file that is read stays as it is. Errors: as
  /// above.
  [[nodiscard]] virtual Result<void> write(Gpa address, ByteView bytes) = 0;
};

/// A device of the machine.
struct MachineDevice {
  std::string path;  // in the manifest: "cpu0/lapic"
  std::string type;  // "lapic"
  StateTree state;
};

/// What a guest has and the file does not hold, and what stands there instead.
struct NotInFile {
  std::string device;       // path
  std::string field;        // or a few words: "x87, SSE and AVX state"
  std::string instead;      // "the initial state of the processor"
  std::string consequence;  // for the guest: a sentence
};

/// Not thread-safe; movable.
class Machine {
 public:
  /// `memory` must outlive the machine.
  Machine(std::uint32_t vcpus, Vendor vendor, GuestMemory& memory)
      : vcpus_(vcpus), vendor_(vendor), memory_(&memory) {}

  [[nodiscard]] std::uint32_t vcpus() const { return vcpus_; }
  [[nodiscard]] Vendor vendor() const { return vendor_; }
  [[nodiscard]] GuestMemory& memory() const { return *memory_; }

  /// The state of the device at `path`, made with all defaults where there is none. Valid as long as the
  /// machine. Errors: Internal (no such chunk type; another type is at the path).
  [[nodiscard]] Result<StateTree*> device(std::string_view path, std::string_view type);
  /// Takes over a state of the newest version of its type. Errors: as device(), and those of
  /// StateTree::decode().
  [[nodiscard]] Result<void> add(std::string_view path, std::string_view type, ByteView state);
  /// nullptr when there is no device.
  [[nodiscard]] StateTree* find(std::string_view path) const;
  /// The same; InvalidState, naming the device, when there is none: a writer needs it.
  [[nodiscard]] Result<StateTree*> need(std::string_view path) const;
  /// In the order in which they were made.
  [[nodiscard]] const std::vector<std::unique_ptr<MachineDevice>>& devices() const { return devices_; }

  /// The paths that device() was asked for since the last call, in the order of the first time.
  [[nodiscard]] std::vector<std::string> take_used() { return std::exchange(used_, {}); }

  void not_in_file(NotInFile note) { not_in_file_.push_back(std::move(note)); }
  [[nodiscard]] const std::vector<NotInFile>& not_in_file() const { return not_in_file_; }

 private:
  [[nodiscard]] Result<const reflect::SchemaModel*> model(std::string_view type);

  std::uint32_t vcpus_;
  Vendor vendor_;
  GuestMemory* memory_;
  std::map<std::string, std::unique_ptr<reflect::SchemaModel>, std::less<>> models_;
  std::vector<std::unique_ptr<MachineDevice>> devices_;
  std::vector<NotInFile> not_in_file_;
  std::vector<std::string> used_;
};

}  // namespace vmsnap::compat::bhyve
