// SPDX-License-Identifier: BSD-2-Clause
#include "bhyve/verdict/device_fit.h"

#include "value_fixture.h"

namespace vmsnap::compat::bhyve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ByteVector chunk_of(std::string_view emulation, Shape shape, const ItemValues& items) {
  Context context;
  context.set_shapes(shape);
  context.uarts = 4;
  context.usb_devices = 0;
  return encode_items(*find_layout(emulation, "by axes"), context, items);
}

ItemValues network() {
  return {{"config_space", config_space(0x1af4)}, {"vc_nvq", 0}, {"vhdrlen", 12}, {"be_vhdrlen", 12}};
}

Result<DeviceFits> fit(std::string_view emulation, const ByteVector& chunk,
                       const std::vector<Axis>& fixed = {}, Shape shape = Shape::kB) {
  Context begin;
  begin.set_shapes(shape);
  return fit_device(*find_layout(emulation, "by axes"), begin, fixed, chunk);
}

/// "prefix A", "rings both": what each axis says.
std::vector<std::string> votes(const DeviceFits& fits) {
  std::vector<std::string> out;
  for (const AxisVote& vote : fits.votes)
    out.push_back(fmt::format("{} {}", to_string(vote.axis),
                              vote.fits_a && vote.fits_b ? "both"
                              : vote.fits_a              ? "A"
                                                         : "B"));
  return out;
}

TEST(DeviceFit, KnowsOnWhichAxesALayoutDepends) {
  EXPECT_THAT(axes_of(*find_layout("hostbridge", "by axes")), ElementsAre(Axis::kPciPrefix));
  EXPECT_THAT(axes_of(*find_layout("virtio-net", "by axes")),
              testing::UnorderedElementsAre(Axis::kPciPrefix, Axis::kRings, Axis::kNetTail));
  EXPECT_THAT(axes_of(*find_layout("atkbdc", "A")), IsEmpty());
}

TEST(DeviceFit, SetsOneAxisAndLeavesTheOthers) {
  for (const Axis axis : {Axis::kPciPrefix, Axis::kRings, Axis::kNetTail, Axis::kAhci, Axis::kXhci}) {
    Context context;
    set_shape(context, axis, Shape::kA);
    for (const Axis other : {Axis::kPciPrefix, Axis::kRings, Axis::kNetTail, Axis::kAhci, Axis::kXhci})
      EXPECT_EQ(context.shape(other), other == axis ? Shape::kA : Shape::kB);
  }
}

TEST(DeviceFit, TellsTheShapeOfThePrefixByThePlaceOfTheVendor) {
  for (const Shape shape : {Shape::kA, Shape::kB}) {
    const auto fits =
        fit("hostbridge", chunk_of("hostbridge", shape, {{"config_space", config_space(0x1275)}}));
    ASSERT_TRUE(fits) << fits.error().to_string();
    ASSERT_EQ(fits->best.size(), 1u);
    EXPECT_EQ(fits->best.front().context.pci_prefix, shape);
    EXPECT_EQ(fits->best.front().trailing, 0u);
    ASSERT_EQ(fits->votes.size(), 1u);
    EXPECT_EQ(fits->votes.front().fits_a, shape == Shape::kA);
    EXPECT_THAT(fits->votes.front().evidence,
                HasSubstr(shape == Shape::kA ? "0x1275 stands at byte 60" : "0x1275 stands at byte 56"));
  }
}

TEST(DeviceFit, SaysWhatFitsEitherWay) {
  // Without queues nothing tells how rings are stored.
  const auto fits = fit("virtio-net", chunk_of("virtio-net", Shape::kB, network()));
  ASSERT_TRUE(fits) << fits.error().to_string();
  EXPECT_THAT(votes(*fits), testing::Contains(HasSubstr("both")));
  EXPECT_EQ(fits->best.size(), 2u);
  for (const Fit& one : fits->best) EXPECT_EQ(one.context.net_tail, Shape::kB);
}

TEST(DeviceFit, KeepsToTheShapesThatAreFixed) {
  const ByteVector chunk = chunk_of("virtio-net", Shape::kB, network());
  const auto fits = fit("virtio-net", chunk, {Axis::kRings}, Shape::kA);
  ASSERT_TRUE(fits) << fits.error().to_string();
  ASSERT_EQ(fits->best.size(), 1u);
  EXPECT_EQ(fits->best.front().context.rings, Shape::kA);
  EXPECT_EQ(fits->best.front().context.pci_prefix, Shape::kB);
}

TEST(DeviceFit, FindsTheNumberOfUarts) {
  const auto fits = fit("lpc", chunk_of("lpc", Shape::kB, {{"config_space", config_space(0x8086)}}));
  ASSERT_TRUE(fits) << fits.error().to_string();
  EXPECT_EQ(fits->best.front().context.uarts, 4u);
}

TEST(DeviceFit, RefusesWhatIsTooShortOrHasPartOfAUart) {
  const ByteVector bridge = chunk_of("hostbridge", Shape::kB, {{"config_space", config_space(0x1275)}});
  const auto cut = fit("hostbridge", ByteVector(bridge.begin(), bridge.begin() + 300));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().kind(), ErrorKind::kTruncated);
  // In the other shape there is room, but what then stands where is odd.
  const auto odd_one = fit("hostbridge", ByteVector(bridge.begin(), bridge.end() - 1));
  ASSERT_FALSE(odd_one);
  EXPECT_EQ(odd_one.error().kind(), ErrorKind::kUnsupported);
  const ByteVector lpc = chunk_of("lpc", Shape::kB, {{"config_space", config_space(0x8086)}});
  const auto part = fit("lpc", ByteVector(lpc.begin(), lpc.end() - 21));
  ASSERT_FALSE(part);
  EXPECT_EQ(part.error().kind(), ErrorKind::kUnsupported);
  EXPECT_THAT(part.error().message(), HasSubstr("less than a UART"));
}

}  // namespace
}  // namespace vmsnap::compat::bhyve
