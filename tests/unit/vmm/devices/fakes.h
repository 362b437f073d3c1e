// SPDX-License-Identifier: BSD-2-Clause
// What a device meets, without a machine.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/device.h"
#include "core/io_handler.h"
#include "core/state_buffer.h"
#include "devices/uart16550/uart16550.h"

namespace vmsnap::vmm::testing {

class FakeIrqLine final : public IrqLine {
 public:
  void set_level(bool asserted) override {
    const std::lock_guard lock(mutex_);
    if (asserted && !level_) ++edges_;
    level_ = asserted;
    ++calls_;
  }
  [[nodiscard]] bool level() const {
    const std::lock_guard lock(mutex_);
    return level_;
  }
  /// Rising edges so far.
  [[nodiscard]] int edges() const {
    const std::lock_guard lock(mutex_);
    return edges_;
  }
  [[nodiscard]] int calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  mutable std::mutex mutex_;
  bool level_ = false;
  int edges_ = 0;
  int calls_ = 0;
};

class FakeMsiSink final : public MsiSink {
 public:
  using Message = std::pair<std::uint64_t, std::uint32_t>;
  void send(std::uint64_t address, std::uint32_t data) override {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(address, data);
  }
  [[nodiscard]] std::vector<Message> messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Message> messages_;
};

class FakePower final : public PowerControl {
 public:
  void request_reset() override { ++resets; }
  void request_power_off() override { ++power_offs; }
  int resets = 0;
  int power_offs = 0;
};

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::int64_t monotonic_ns() const override { return monotonic; }
  [[nodiscard]] std::int64_t realtime_ns() const override { return realtime; }
  std::int64_t monotonic = 5'000'000'000;
  std::int64_t realtime = 1'700'000'000'000'000'000;
};

/// Takes as many bytes as there is room for.
class FakeSink final : public CharacterSink {
 public:
  [[nodiscard]] std::size_t write(ByteView bytes) override {
    const std::size_t taken = std::min(bytes.size(), room);
    text.append(reinterpret_cast<const char*>(bytes.data()), taken);
    room -= taken;
    return taken;
  }
  void input_wanted() override { ++wanted; }
  std::string text;
  std::size_t room = 1'000'000;
  int wanted = 0;
};

/// Little-endian access to a handler's register.
template <typename T>
[[nodiscard]] T in(IoHandler& handler, std::uint64_t offset) {
  T value = 0;
  handler.read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}
template <typename T>
void out(IoHandler& handler, std::uint64_t offset, T value) {
  handler.write(offset, std::as_bytes(std::span(&value, 1)));
}

[[nodiscard]] inline ByteVector saved(const Device& device) {
  auto state = device.save();
  EXPECT_TRUE(state) << state.error().to_string();
  return state ? *state : ByteVector();
}

/// The object of a state that a device of ours saved.
template <typename Root>
[[nodiscard]] typename Root::NativeTableType unpacked(const ByteVector& state, const char* identifier) {
  auto object = unpack_state<Root>(state, identifier);
  EXPECT_TRUE(object) << object.error().to_string();
  return std::move(**object);
}

/// The device refuses `state` with `kind`, names the field, itself and its chunk, and is as before.
inline void expect_refused(Device& device, ByteView state, ErrorKind kind, std::string_view field) {
  SCOPED_TRACE(field);
  const ByteVector before = saved(device);
  const auto result = device.restore(state);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), kind) << result.error().to_string();
  EXPECT_EQ(result.error().field(), field) << result.error().to_string();
  EXPECT_EQ(result.error().device(), device.describe().path);
  EXPECT_EQ(result.error().chunk().size(), 4U);
  EXPECT_EQ(saved(device), before);
}

/// Cut states, other identifiers and flipped bytes: never a crash; what cannot be a state is Corrupt and
/// leaves the device as it was, and what is accepted must be saved again without complaint.
inline void expect_survives_damage(Device& device) {
  const ByteVector good = saved(device);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto result = device.restore(ByteView(good).first(size));
    // The last bytes may be padding; anything shorter that is accepted would have to be equivalent.
    if (result) {
      EXPECT_EQ(saved(device), good) << "cut to " << size;
    } else {
      EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt) << "cut to " << size;
    }
  }
  ASSERT_TRUE(device.restore(good));
  ByteVector foreign = good;
  foreign[4] ^= std::byte{0x20};
  EXPECT_FALSE(device.restore(foreign));
  EXPECT_EQ(saved(device), good);
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const unsigned flip : {0x01U, 0x80U, 0xffU}) {
      ByteVector bad = good;
      bad[i] ^= std::byte(flip);
      const ByteVector before = saved(device);
      if (device.restore(bad)) {
        EXPECT_FALSE(saved(device).empty());
      } else {
        EXPECT_EQ(saved(device), before) << "byte " << i;
      }
    }
  }
  ASSERT_TRUE(device.restore(good));
  EXPECT_EQ(saved(device), good);
}

}  // namespace vmsnap::vmm::testing
