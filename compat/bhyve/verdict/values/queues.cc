// SPDX-License-Identifier: BSD-2-Clause
// The queues of bytes that UARTs and the keyboard controller have. Their indices are used without another
// look.
#include <algorithm>

#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

struct Indices {
  std::string read;
  std::string write;
  std::string count;
  std::int64_t size;
  std::string_view of_what;
};

void check_queue(ValueChecker& chunk, const Indices& queue) {
  const std::string index = fmt::format("an index in {}", queue.of_what);
  chunk.within(queue.read, 0, queue.size - 1, index, Consequence::kCrash);
  chunk.within(queue.write, 0, queue.size - 1, index, Consequence::kCrash);
  chunk.within(queue.count, 0, queue.size, fmt::format("how many bytes are in {}", queue.of_what),
               Consequence::kCrash);
  const std::int64_t read = chunk.signed_or_zero(queue.read);
  const std::int64_t write = chunk.signed_or_zero(queue.write);
  const std::int64_t count = chunk.signed_or_zero(queue.count);
  const auto is_index = [&](std::int64_t value) { return value >= 0 && value < queue.size; };
  if (!is_index(read) || !is_index(write) || count < 0 || count > queue.size) return;
  if ((read + count) % queue.size != write)
    chunk.say(queue.count, "queue",
              fmt::format("{} bytes from {} on end at {}, but the next is written at {}", count, read,
                          (read + count) % queue.size, write));
}

}  // namespace

void check_lpc(ValueChecker& chunk) {
  const std::uint64_t uarts = chunk.decoded().context().uarts.value_or(0);
  for (std::uint64_t uart = 0; uart < uarts; ++uart) {
    const std::string name = fmt::format("uart[{}].rxfifo.", uart);
    constexpr std::int64_t kLargest = 16;
    chunk.within(name + "size", 0, kLargest, "the size of the receive FIFO", Consequence::kCrash);
    const std::int64_t size = chunk.signed_or_zero(name + "size");
    if (size < 1 || size > kLargest) continue;
    check_queue(chunk, {name + "rindex", name + "windex", name + "num", size, "the receive FIFO"});
  }
}

void check_atkbdc(ValueChecker& chunk) {
  constexpr std::int64_t kQueueSize = 15;
  for (const std::string name : {"kbd_raw.", "kbd."})
    check_queue(chunk, {name + "brd", name + "bwr", name + "bcnt", kQueueSize, "the keyboard's queue"});
  for (const std::string_view path : {"kbd.irq", "aux.irq"})
    chunk.within(path, 0, 15, "an interrupt of the ISA bus");
  constexpr std::uint64_t kWaiting = 0x8000, kReply = 0xff;
  const std::uint64_t reply = chunk.get_or_zero("ctrlbyte");
  if (reply != 0 && ((reply & kWaiting) == 0 || (reply & ~(kWaiting | kReply)) != 0))
    chunk.say("ctrlbyte", "reply",
              fmt::format("{:#x} is neither 0 nor 0x8000 with the byte that waits to be read", reply));
}

}  // namespace vmsnap::compat::bhyve
