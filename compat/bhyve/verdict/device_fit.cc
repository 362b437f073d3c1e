// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/device_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "bhyve/layout/decode.h"
#include "bhyve/verdict/pci_vendors.h"

namespace vmsnap::compat::bhyve {
namespace {

constexpr std::uint64_t kUartSize = 42;
constexpr std::uint64_t kConfigSpaceOfA = 60;
constexpr std::uint64_t kConfigSpaceOfB = 56;

void collect(std::span<const Item> items, std::vector<Axis>& axes) {
  for (const Item& item : items) {
    if (item.condition.kind == Condition::Kind::kShape &&
        std::find(axes.begin(), axes.end(), item.condition.axis) == axes.end())
      axes.push_back(item.condition.axis);
    collect(item.nested(), axes);
  }
}

/// Values of a chunk that bhyve would not have written, counted: they tell a wrong shape, not a wrong value.
class Oddities {
 public:
  explicit Oddities(const Decoded& decoded) : decoded_(decoded) {}

  unsigned count() {
    if (const auto config = decoded_.bytes("config_space")) {
      require(is_known_pci_vendor(*config), 4);
      for (unsigned bar = 0; bar < 7; ++bar) within(fmt::format("bar[{}].type", bar), 0, 5);
    }
    const std::uint64_t queues =
        std::min<std::uint64_t>(decoded_.number("vc_nvq").value_or(Number{}).bits, 8);
    for (std::uint64_t queue = 0; queue < queues; ++queue) {
      within(fmt::format("queue[{}].vq_num", queue), queue, queue);
      const std::uint64_t size =
          decoded_.number(fmt::format("queue[{}].vq_qsize", queue)).value_or(Number{}).bits;
      require((size & (size - 1)) == 0);
    }
    within("features_negotiated", 0, 1);
    header_size("vhdrlen");
    header_size("be_vhdrlen");
    within("usb2_port_start", 0, 32);
    within("usb3_port_start", 0, 32);
    within("ndevices", 0, 8);
    within("ports", 0, 32);
    for (unsigned port = 0; port < 32; ++port) within(fmt::format("port[{}].port", port), 0, 31);
    return count_;
  }

 private:
  void require(bool holds, unsigned weight = 1) { count_ += holds ? 0 : weight; }

  void within(std::string_view path, std::uint64_t low, std::uint64_t high) {
    const auto number = decoded_.number(path);
    if (number) require(number->bits >= low && number->bits <= high);
  }

  void header_size(std::string_view path) {
    const auto number = decoded_.number(path);
    if (number) require(number->bits == 0 || number->bits == 10 || number->bits == 12);
  }

  const Decoded& decoded_;
  unsigned count_ = 0;
};

struct Attempt {
  Context context;
  std::optional<Fit> fit;
  std::optional<Error> error;
  [[nodiscard]] std::pair<unsigned, std::uint64_t> badness() const {
    return {fit->implausible, fit->trailing};
  }
};

Attempt attempt(const Layout& layout, const Context& context, ByteView chunk) {
  Attempt out{context, std::nullopt, std::nullopt};
  const auto decoded = decode(layout, context, chunk);
  if (!decoded) {
    out.error = decoded.error();
    return out;
  }
  out.fit = Fit{decoded->context(), decoded->trailing().size(), Oddities(*decoded).count()};
  return out;
}

/// Which place of the config space has a vendor: that says more than sizes do.
std::optional<Shape> prefix_by_vendor(ByteView chunk) {
  const auto has_vendor = [&](std::uint64_t at) {
    return chunk.size() >= at + 4 && is_known_pci_vendor(chunk.subspan(static_cast<std::size_t>(at)));
  };
  const bool in_a = has_vendor(kConfigSpaceOfA);
  const bool in_b = has_vendor(kConfigSpaceOfB);
  if (in_a == in_b) return std::nullopt;
  return in_a ? Shape::kA : Shape::kB;
}

std::string describe_failure(const Attempt& failed, Shape shape, ByteView chunk) {
  if (failed.error && failed.error->kind() == ErrorKind::kTruncated)
    return fmt::format("as {} it would have more than its {} bytes, up to {} and beyond", to_string(shape),
                       chunk.size(), failed.error->field());
  if (failed.error)
    return fmt::format("as {} {} would be wrong: {}", to_string(shape), failed.error->field(),
                       failed.error->message());
  if (failed.fit->trailing != 0)
    return fmt::format("as {} it would leave {} byte{} over", to_string(shape), failed.fit->trailing,
                       failed.fit->trailing == 1 ? "" : "s");
  return fmt::format("as {} it would have values that no bhyve writes", to_string(shape));
}

std::string describe_prefix(Shape shape, ByteView chunk) {
  const std::uint64_t at = shape == Shape::kA ? kConfigSpaceOfA : kConfigSpaceOfB;
  return fmt::format("the PCI vendor {:#06x} stands at byte {} of the chunk", pci_vendor(chunk.subspan(at)),
                     at);
}

/// The attempt that differs from `best` in that axis alone.
const Attempt* flipped(const std::vector<Attempt>& attempts, const std::vector<Axis>& axes,
                       const Context& best, Axis axis) {
  for (const Attempt& one : attempts) {
    const bool differs_there = one.context.shape(axis) != best.shape(axis);
    const bool same_elsewhere = std::all_of(axes.begin(), axes.end(), [&](Axis other) {
      return other == axis || one.context.shape(other) == best.shape(other);
    });
    if (differs_there && same_elsewhere) return &one;
  }
  return nullptr;
}

Error refusal(const std::vector<Attempt>& attempts, ByteView chunk) {
  const auto prefix = prefix_by_vendor(chunk);
  for (const Attempt& one : attempts) {
    if (one.error && (!prefix || one.context.pci_prefix == *prefix)) return *one.error;
  }
  return *attempts.front().error;
}

}  // namespace

std::vector<Axis> axes_of(const Layout& layout) {
  std::vector<Axis> axes;
  collect(layout.items(), axes);
  return axes;
}

void set_shape(Context& context, Axis axis, Shape shape) {
  switch (axis) {
    case Axis::kPciPrefix:
      context.pci_prefix = shape;
      break;
    case Axis::kRings:
      context.rings = shape;
      break;
    case Axis::kNetTail:
      context.net_tail = shape;
      break;
    case Axis::kAhci:
      context.ahci = shape;
      break;
    case Axis::kXhci:
      context.xhci = shape;
      break;
  }
}

Result<DeviceFits> fit_device(const Layout& layout, const Context& begin, const std::vector<Axis>& fixed,
                              ByteView chunk) {
  const std::vector<Axis> axes = axes_of(layout);
  std::vector<Attempt> attempts;
  // Counted down: all B first, as in what is written today.
  for (unsigned combination = 1u << axes.size(); combination-- > 0;) {
    Context context = begin;
    bool is_wanted = true;
    for (std::size_t i = 0; i < axes.size(); ++i) {
      set_shape(context, axes[i], (combination >> i & 1) != 0 ? Shape::kB : Shape::kA);
      const bool is_fixed = std::find(fixed.begin(), fixed.end(), axes[i]) != fixed.end();
      if (is_fixed && context.shape(axes[i]) != begin.shape(axes[i])) is_wanted = false;
    }
    if (is_wanted) attempts.push_back(attempt(layout, context, chunk));
  }
  const Attempt* best = nullptr;
  for (const Attempt& one : attempts) {
    if (one.fit && (best == nullptr || one.badness() < best->badness())) best = &one;
  }
  if (best == nullptr) return refusal(attempts, chunk);
  const bool has_part_of_uart =
      best->fit->context.uarts && best->fit->trailing % kUartSize != 0 && *best->fit->context.uarts % 2 != 0;
  if ((best->fit->trailing != 0 && best->fit->implausible != 0) || has_part_of_uart) {
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("its {} bytes are what no bhyve that is known writes for this device: read in the "
                    "shape that fits best, {} bytes are left over{}; the .meta file may belong to another "
                    "snapshot: use whole copies of all three files",
                    chunk.size(), best->fit->trailing,
                    has_part_of_uart ? ", which is less than a UART" : ", and values are odd"));
  }
  DeviceFits fits;
  for (const Attempt& one : attempts) {
    if (one.fit && one.badness() == best->badness()) fits.best.push_back(*one.fit);
  }
  for (const Axis axis : axes) {
    AxisVote vote{axis, false, false, {}};
    for (const Fit& fit : fits.best)
      (fit.context.shape(axis) == Shape::kA ? vote.fits_a : vote.fits_b) = true;
    const Attempt* other = flipped(attempts, axes, best->context, axis);
    if (vote.fits_a != vote.fits_b && other != nullptr) {
      const Shape shape = best->context.shape(axis);
      vote.evidence = axis == Axis::kPciPrefix && prefix_by_vendor(chunk) == shape
                          ? describe_prefix(shape, chunk)
                          : describe_failure(*other, other->context.shape(axis), chunk);
    }
    fits.votes.push_back(std::move(vote));
  }
  return fits;
}

}  // namespace vmsnap::compat::bhyve
