// SPDX-License-Identifier: BSD-2-Clause
// The AHCI controller and its ports.
#include "bhyve/verdict/values/value_checker.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kMostPorts = 32;

class Port {
 public:
  Port(ValueChecker& chunk, std::uint64_t index)
      : chunk_(chunk), index_(index), name_(fmt::format("port[{}].", index)) {}

  void check() {
    const auto requests = chunk_.get(name_ + "ioqsz");
    if (!requests) return;
    const auto own = static_cast<std::int64_t>(index_);
    chunk_.within(name_ + "port", own, own, "the port's own number");
    chunk_.within(name_ + "atapi", 0, 1, "a disk or an optical drive");
    chunk_.within(name_ + "ccs", 0, 31, "a command slot");
    if (index_ >= chunk_.get_or_zero("ports"))
      chunk_.say(
          name_ + "bctx", "port",
          fmt::format("a drive is attached, but the controller has {} ports", chunk_.get_or_zero("ports")));
    else if ((chunk_.get_or_zero("pi") >> index_ & 1) == 0)
      chunk_.say(name_ + "bctx", "port",
                 fmt::format("a drive is attached, but the guest reads from pi {:#x} that the port is not "
                             "implemented",
                             chunk_.get_or_zero("pi")));
    constexpr std::uint64_t kStarted = 0x1, kReceives = 0x10;
    constexpr std::uint64_t kCommandList = 1024, kReceived = 256;
    check_area("cmd_lst", "clb", "clbu", kCommandList, kStarted);
    check_area("rfis", "fb", "fbu", kReceived, kReceives);
    const std::uint64_t issued = get("ci") | get("sact");
    chunk_.without_bits(name_ + "pending", ~issued, "which are commands that the guest has not issued");
    check_lists(static_cast<std::int64_t>(*requests));
  }

 private:
  [[nodiscard]] std::uint64_t get(std::string_view field) const {
    return chunk_.get_or_zero(name_ + std::string(field));
  }

  /// An area of memory that the port uses when `when` is set in its command register.
  void check_area(std::string_view pointer, std::string_view low, std::string_view high, std::uint64_t size,
                  std::uint64_t when) {
    const std::uint64_t told = get(high) << 32 | get(low);
    if (told % size != 0)
      chunk_.say(name_ + std::string(low), "port-memory",
                 fmt::format("{:#x} is no multiple of {}", told, size));
    const std::uint64_t used = get(pointer);
    if (chunk_.is_memory(used, 1) && !chunk_.is_memory(used, size))
      chunk_.say(name_ + std::string(pointer), "outside-memory",
                 fmt::format("{} bytes from {:#x} on reach beyond the guest's memory", size, used),
                 Consequence::kCrash);
    if ((get("cmd") & when) != 0 && used != told)
      chunk_.say(name_ + std::string(pointer), "port-memory",
                 fmt::format("it is {:#x}, but the guest reads that it is {:#x}", used, told));
  }

  void check_lists(std::int64_t requests) {
    chunk_.within(name_ + "ioqsz", 0, 1 << 16, "how many requests there are");
    if (const Field* list = chunk_.decoded().find(name_ + "free")) {
      for (std::size_t i = 0; i + 1 < list->count(); ++i) {
        const auto index = static_cast<std::int64_t>(chunk_.get_or_zero(name_ + "free", i));
        if (index >= 0 && index < requests) continue;
        chunk_.say_of(name_ + "free", i, "request-index",
                      fmt::format("there is no request {}, but {} from 0 on", index, requests),
                      Consequence::kCrash);
      }
    }
    for (std::int64_t i = 0; i < requests; ++i) {
      const std::string path = fmt::format("{}busy[{}].index", name_, i);
      if (!chunk_.get(path)) break;
      chunk_.within(path, -1, requests - 1, "a request", Consequence::kCrash);
    }
  }

  ValueChecker& chunk_;
  std::uint64_t index_;
  std::string name_;
};

}  // namespace

void check_ahci(ValueChecker& chunk) {
  chunk.within("ports", 0, kMostPorts, "the number of ports", Consequence::kCrash);
  const std::uint64_t ports = chunk.get_or_zero("ports");
  const std::uint64_t told = (chunk.get_or_zero("cap") & 0x1f) + 1;
  if (ports != 0 && ports <= kMostPorts && told != ports)
    chunk.say("cap", "port",
              fmt::format("the guest reads from {:#x} of {} ports, but there are {}",
                          chunk.get_or_zero("cap"), told, ports));
  for (std::uint64_t port = 0; port < kMostPorts; ++port) Port(chunk, port).check();
}

}  // namespace vmsnap::compat::bhyve
