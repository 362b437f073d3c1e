// SPDX-License-Identifier: BSD-2-Clause
#include "devices/i8042/i8042.h"

#include <gtest/gtest.h>

#include "devices/i8042/i8042_bits.h"
#include "fakes.h"
#include "i8042_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace i8042;
using namespace testing;

class I8042Test : public ::testing::Test {
 protected:
  std::uint8_t status() { return in<std::uint8_t>(device.command_port(), 0); }
  std::uint8_t data() { return in<std::uint8_t>(device.data_port(), 0); }
  void command(std::uint8_t value) { out<std::uint8_t>(device.command_port(), 0, value); }
  void write(std::uint8_t value) { out<std::uint8_t>(device.data_port(), 0, value); }
  std::uint8_t answer_to(std::uint8_t value) {
    command(value);
    EXPECT_EQ(status() & kStatusOutputFull, kStatusOutputFull);
    return data();
  }
  schema::I8042T state() { return unpacked<schema::I8042>(saved(device), "8042"); }
  static ByteVector packed(const schema::I8042T& state) { return *pack_state(state, "8042"); }

  FakeIrqLine irq;
  FakePower power;
  I8042 device{0x60, irq, power};
};

TEST_F(I8042Test, PassesItsSelfTests) {
  EXPECT_EQ(answer_to(kSelfTest), kSelfTestPassed);
  EXPECT_EQ(answer_to(kTestKeyboard), kInterfaceGood);
  EXPECT_EQ(status(), kStatusSystem | kStatusNotInhibited | kStatusCommand);
}

TEST_F(I8042Test, KeepsTheCommandByte) {
  command(kWriteRam);
  write(0x45);
  EXPECT_EQ(answer_to(kReadRam), 0x45);
  command(kDisableKeyboard);
  EXPECT_EQ(answer_to(kReadRam), 0x55);
  command(kEnableKeyboard);
  command(kDisableAuxiliary);
  EXPECT_EQ(answer_to(kReadRam), 0x65);
  command(kEnableAuxiliary);
  EXPECT_EQ(answer_to(kReadRam), 0x45);
}

// How Linux finds out that there is no auxiliary port without waiting for a time-out: the looped byte lacks
// the auxiliary mark, and the interface test fails.
TEST_F(I8042Test, ShowsThatThereIsNoAuxiliaryPort) {
  command(kWriteAuxiliaryBuffer);
  write(0x5a);
  EXPECT_EQ(status() & (kStatusOutputFull | kStatusAuxiliary), kStatusOutputFull);
  EXPECT_EQ(data(), 0x5a);
  EXPECT_EQ(answer_to(kTestAuxiliary), kInterfaceClockLow);
}

TEST_F(I8042Test, AnswersForTheMissingKeyboardAtOnce) {
  command(kWriteRam);
  write(kByteKeyboardInterrupt | kByteKeyboardDisabled);
  write(0xf2);  // identify
  EXPECT_TRUE(irq.level());
  EXPECT_EQ(status() & (kStatusOutputFull | kStatusTimeout | kStatusCommand),
            kStatusOutputFull | kStatusTimeout);
  EXPECT_EQ(data(), kResend);
  EXPECT_FALSE(irq.level());
  EXPECT_EQ(status() & (kStatusOutputFull | kStatusTimeout), 0);
  EXPECT_EQ(answer_to(kReadRam), kByteKeyboardInterrupt);
}

TEST_F(I8042Test, GivesEachByteItsOwnEdge) {
  write(0xf2);
  write(0xed);
  EXPECT_EQ(irq.edges(), 1);
  EXPECT_EQ(data(), kResend);
  EXPECT_EQ(irq.edges(), 2);
  EXPECT_EQ(data(), kResend);
  EXPECT_FALSE(irq.level());
}

TEST_F(I8042Test, ResetsTheMachineByPulseAndByOutputPort) {
  command(0xff);
  EXPECT_EQ(power.resets, 0);
  command(0xfe);
  EXPECT_EQ(power.resets, 1);
  command(kWriteOutputPort);
  write(kOutputA20);
  EXPECT_EQ(power.resets, 2);
}

TEST_F(I8042Test, KeepsTheOutputPort) {
  command(kWriteOutputPort);
  write(0xc3);
  EXPECT_EQ(answer_to(kReadOutputPort), 0xc3);
}

TEST_F(I8042Test, BoundsItsOutputBuffer) {
  for (int i = 0; i < 40; ++i) write(0x00);
  EXPECT_EQ(state().output_buffer.size(), I8042::kOutputBufferSize);
}

TEST_F(I8042Test, SavesAndRestoresACommandThatWaitsForItsByte) {
  write(0xf2);
  command(kWriteRam);
  const ByteVector first = saved(device);

  FakeIrqLine other_irq;
  FakePower other_power;
  I8042 other(0x60, other_irq, other_power);
  ASSERT_TRUE(other.restore(first));
  EXPECT_EQ(saved(other), first);
  EXPECT_EQ(unpacked<schema::I8042>(saved(other), "8042"), state());
  EXPECT_TRUE(other_irq.level());
  out<std::uint8_t>(other.data_port(), 0, 0x44);
  EXPECT_EQ(in<std::uint8_t>(other.data_port(), 0), kResend);
  out<std::uint8_t>(other.command_port(), 0, kReadRam);
  EXPECT_EQ(in<std::uint8_t>(other.data_port(), 0), 0x44);
}

TEST_F(I8042Test, DerivesOutputFullFromTheBuffer) {
  schema::I8042T odd = state();
  odd.status = kStatusOutputFull | kStatusInputFull | kStatusTimeout;
  ASSERT_TRUE(device.restore(packed(odd)));
  EXPECT_EQ(status(), 0);
}

TEST_F(I8042Test, RefusesStatesThatTheHardwareCannotHave) {
  const schema::I8042T good = state();
  schema::I8042T bad = good;
  bad.pending_command = kSelfTest;
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "pending_command");
  bad = good;
  bad.output_buffer.assign(17, 0);
  expect_refused(device, packed(bad), ErrorKind::kCorrupt, "output_buffer");
}

TEST_F(I8042Test, SurvivesDamagedStates) {
  write(0xf2);
  expect_survives_damage(device);
}

TEST_F(I8042Test, NamesItselfByItsPort) {
  EXPECT_EQ(device.describe().path, "isa0/i8042@60");
  EXPECT_EQ(device.describe().type, "i8042");
}

}  // namespace
}  // namespace vmsnap::vmm
