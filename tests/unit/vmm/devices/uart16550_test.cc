// SPDX-License-Identifier: BSD-2-Clause
#include "devices/uart16550/uart16550.h"

#include <gtest/gtest.h>

#include <string>

#include "devices/uart16550/uart16550_bits.h"
#include "fakes.h"
#include "uart16550_generated.h"

namespace vmsnap::vmm {
namespace {

using namespace uart16550;
using namespace testing;

class Uart16550Test : public ::testing::Test {
 protected:
  std::uint8_t get(std::uint64_t offset) { return in<std::uint8_t>(uart, offset); }
  void put(std::uint64_t offset, std::uint8_t value) { out<std::uint8_t>(uart, offset, value); }
  void type(std::string_view text) {
    for (const char c : text) put(kRbrThrDll, static_cast<std::uint8_t>(c));
  }
  schema::Uart16550T state() { return unpacked<schema::Uart16550>(saved(uart), "UART"); }
  static ByteVector packed(const schema::Uart16550T& state) { return *pack_state(state, "UART"); }

  FakeIrqLine irq;
  FakeSink sink;
  Uart16550 uart{0x3f8, irq, sink};
};

TEST_F(Uart16550Test, SendsWhatIsWrittenToTheHoldingRegister) {
  for (const char c : std::string("Hi")) put(kRbrThrDll, static_cast<std::uint8_t>(c));
  EXPECT_EQ(sink.text, "Hi");
  EXPECT_EQ(get(kLsr), kLsrTransmitterEmpty);
}

TEST_F(Uart16550Test, HoldsWhatTheSinkDoesNotTakeAndSaysSo) {
  put(kIirFcr, kFcrEnable);
  sink.room = 1;
  type("abc");
  EXPECT_EQ(sink.text, "a");
  EXPECT_EQ(get(kLsr) & kLsrTransmitterEmpty, 0);
  sink.room = 1;
  uart.send_waiting();
  EXPECT_EQ(sink.text, "ab");
  EXPECT_EQ(get(kLsr) & kLsrTransmitterEmpty, 0);
  sink.room = 9;
  uart.send_waiting();
  EXPECT_EQ(sink.text, "abc");
  EXPECT_EQ(get(kLsr), kLsrTransmitterEmpty);
}

TEST_F(Uart16550Test, RaisesTheTransmitterInterruptOnceTheSinkHasTakenAll) {
  put(kIirFcr, kFcrEnable);
  put(kMcr, kMcrOut2);
  put(kIerDlm, kIerThre);
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirThre);
  sink.room = 0;
  type("ab");
  EXPECT_FALSE(irq.level());
  put(kIerDlm, 0);
  put(kIerDlm, kIerThre);
  EXPECT_FALSE(irq.level()) << "enabling raises it only when the transmitter is empty";
  sink.room = 1;
  uart.send_waiting();
  EXPECT_FALSE(irq.level());
  sink.room = 1;
  uart.send_waiting();
  EXPECT_TRUE(irq.level());
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirThre);
}

TEST_F(Uart16550Test, HoldsSixteenBytesWithFifosAndOneWithout) {
  sink.room = 0;
  type("ab");
  EXPECT_EQ(state().transmit_fifo, (std::vector<std::uint8_t>{'b'})) << "the newer replaces the older";
  put(kIirFcr, kFcrEnable);  // switching clears
  EXPECT_EQ(get(kLsr), kLsrTransmitterEmpty);
  type("0123456789abcdefg");
  EXPECT_EQ(state().transmit_fifo.size(), 16U);
  sink.room = 100;
  EXPECT_TRUE(uart.flush());
  EXPECT_EQ(sink.text, "0123456789abcdef") << "what does not fit is lost";
}

TEST_F(Uart16550Test, ForgetsWhatWaitsWhenTheGuestClearsTheTransmitter) {
  put(kIirFcr, kFcrEnable);
  sink.room = 0;
  type("ab");
  put(kIirFcr, kFcrEnable | kFcrClearReceiver);
  EXPECT_EQ(state().transmit_fifo.size(), 2U);
  put(kIirFcr, kFcrEnable | kFcrClearTransmitter);
  EXPECT_EQ(get(kLsr), kLsrTransmitterEmpty);
  EXPECT_TRUE(state().thre_interrupt_pending);
  sink.room = 9;
  uart.send_waiting();
  EXPECT_EQ(sink.text, "");
}

TEST_F(Uart16550Test, SendsWhatWaitsToTheLineAlsoInLoopback) {
  put(kIirFcr, kFcrEnable);
  sink.room = 0;
  type("a");
  put(kMcr, kMcrLoop);
  type("b");
  EXPECT_EQ(get(kRbrThrDll), 'b');
  EXPECT_EQ(get(kLsr) & kLsrTransmitterEmpty, 0);
  sink.room = 9;
  uart.send_waiting();
  EXPECT_EQ(sink.text, "a");
}

TEST_F(Uart16550Test, SendsNothingBetweenQuiesceAndResumeUnlessToldTo) {
  put(kIirFcr, kFcrEnable);
  put(kMcr, kMcrOut2);
  put(kIerDlm, kIerThre);
  (void)get(kIirFcr);
  sink.room = 0;
  type("abcd");
  ASSERT_TRUE(uart.quiesce());
  sink.room = 2;
  uart.send_waiting();
  EXPECT_EQ(sink.text, "");
  EXPECT_FALSE(uart.flush());
  EXPECT_EQ(sink.text, "ab");
  sink.room = 2;
  const int calls = irq.calls();
  EXPECT_TRUE(uart.flush());
  EXPECT_EQ(sink.text, "abcd");
  EXPECT_EQ(irq.calls(), calls) << "the line is told on resume";
  uart.resume();
  EXPECT_TRUE(irq.level());
}

TEST_F(Uart16550Test, SavesWhatWaitsAndSendsItOnAfterARestore) {
  put(kIirFcr, kFcrEnable);
  put(kMcr, kMcrOut2);
  put(kIerDlm, kIerThre);
  (void)get(kIirFcr);
  EXPECT_TRUE(uart.describe().features.empty());
  sink.room = 2;
  type("login");
  ASSERT_TRUE(uart.quiesce());
  EXPECT_EQ(uart.describe().features, (std::vector<std::string>{"transmit-fifo"}));
  const ByteVector first = saved(uart);

  FakeIrqLine other_irq;
  FakeSink other_sink;
  Uart16550 other(0x3f8, other_irq, other_sink);
  ASSERT_TRUE(other.restore(first));
  EXPECT_EQ(saved(other), first);
  other.send_waiting();
  EXPECT_EQ(other_sink.text, "") << "nothing is sent before the machine goes on";
  EXPECT_FALSE(other_irq.level());
  other.resume();
  EXPECT_EQ(sink.text + other_sink.text, "login");
  EXPECT_TRUE(other_irq.level()) << "the driver waits for this interrupt";
  EXPECT_EQ(in<std::uint8_t>(other, kLsr), kLsrTransmitterEmpty);
}

TEST_F(Uart16550Test, ShowsTheDivisorLatchOnlyBehindDlab) {
  put(kIerDlm, 0x05);
  put(kLcr, kLcrDlab | 0x03);
  put(kRbrThrDll, 0x0c);
  put(kIerDlm, 0x01);
  EXPECT_EQ(get(kRbrThrDll), 0x0c);
  EXPECT_EQ(get(kIerDlm), 0x01);
  put(kLcr, 0x03);
  EXPECT_EQ(get(kIerDlm), 0x05);
  EXPECT_EQ(sink.text, "");
}

TEST_F(Uart16550Test, KeepsTheScratchRegisterAndTheWritableBits) {
  put(kScr, 0x5a);
  put(kIerDlm, 0xff);
  put(kMcr, 0xff);
  EXPECT_EQ(get(kScr), 0x5a);
  EXPECT_EQ(get(kIerDlm), 0x0f);
  EXPECT_EQ(get(kMcr), 0x1f);
}

TEST_F(Uart16550Test, TakesOneByteWithoutFifosAndSixteenWith) {
  const ByteVector bytes(20, std::byte{'x'});
  EXPECT_EQ(uart.receive(bytes), 1U);
  EXPECT_EQ(uart.receive(bytes), 0U);
  put(kIirFcr, kFcrEnable);  // switching clears
  EXPECT_EQ(get(kLsr) & kLsrDataReady, 0);
  EXPECT_EQ(uart.receive(bytes), 16U);
}

TEST_F(Uart16550Test, AsksForInputAgainWhenTheGuestHasReadWhatWasThere) {
  put(kIirFcr, kFcrEnable);
  ASSERT_EQ(uart.receive(ByteVector(17, std::byte{'x'})), 16U);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(get(kRbrThrDll), 'x');
  EXPECT_EQ(sink.wanted, 0);
  EXPECT_EQ(get(kRbrThrDll), 'x');
  EXPECT_EQ(sink.wanted, 1);
  EXPECT_EQ(get(kRbrThrDll), 0);
  EXPECT_EQ(sink.wanted, 1);
}

TEST_F(Uart16550Test, GatesItsInterruptByOut2) {
  put(kIerDlm, kIerThre);
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirThre);
  put(kIerDlm, 0);
  put(kIerDlm, kIerThre);
  EXPECT_FALSE(irq.level());
  put(kMcr, kMcrOut2);
  EXPECT_TRUE(irq.level());
}

TEST_F(Uart16550Test, RaisesTheTransmitterInterruptWhenEnabledAndAfterEachByte) {
  put(kMcr, kMcrOut2);
  put(kIerDlm, kIerThre);
  EXPECT_TRUE(irq.level());
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirThre);  // acknowledges
  EXPECT_FALSE(irq.level());
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirNone);
  put(kRbrThrDll, 'a');
  EXPECT_TRUE(irq.level());
}

TEST_F(Uart16550Test, ReportsInterruptsInTheOrderOfTheDataSheet) {
  put(kIirFcr, kFcrEnable | 0x80);  // trigger at 8
  put(kMcr, kMcrLoop);              // the modem lines change, and what is sent comes back
  put(kIerDlm, kIerMask);
  for (int i = 0; i < 17; ++i) put(kRbrThrDll, 'x');  // one too many
  EXPECT_EQ(get(kIirFcr), kIirFifosEnabled | kIirLineStatus);
  EXPECT_EQ(get(kLsr) & (kLsrOverrun | kLsrDataReady), kLsrOverrun | kLsrDataReady);
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirReceiver);
  for (int i = 0; i < 9; ++i) EXPECT_EQ(get(kRbrThrDll), 'x');
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirCharacterTimeout);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(get(kRbrThrDll), 'x');
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirThre);
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirModem);
  EXPECT_NE(get(kMsr) & kMsrDeltas, 0);
  EXPECT_EQ(get(kIirFcr) & kIirIdMask, kIirNone);
}

TEST_F(Uart16550Test, DropsTheLineWhenTheLastByteIsRead) {
  put(kMcr, kMcrOut2);
  put(kIerDlm, kIerReceiver);
  const std::byte byte{'k'};
  ASSERT_EQ(uart.receive({&byte, 1}), 1U);
  EXPECT_TRUE(irq.level());
  EXPECT_EQ(get(kRbrThrDll), 'k');
  EXPECT_FALSE(irq.level());
}

TEST_F(Uart16550Test, LoopsModemOutputsBackAsDriversExpect) {
  put(kMcr, kMcrLoop | kMcrOut2 | kMcrRts);
  EXPECT_EQ(get(kMsr) & kMsrLines, kMsrDcd | kMsrCts);
  put(kMcr, kMcrLoop | kMcrOut1 | kMcrDtr);
  EXPECT_EQ(get(kMsr) & kMsrLines, kMsrRi | kMsrDsr);
  put(kMcr, 0);
  EXPECT_EQ(get(kMsr), kMsrLinesOfAConnectedPeer | kMsrDeltaCts | kMsrTrailingRi | kMsrDeltaDcd);
  EXPECT_EQ(get(kMsr) & kMsrDeltas, 0);
}

TEST_F(Uart16550Test, CutsTheLineInLoopback) {
  put(kMcr, kMcrLoop);
  EXPECT_EQ(uart.receive(ByteVector(1, std::byte{'x'})), 0U);
  put(kRbrThrDll, 'y');
  EXPECT_EQ(sink.text, "");
  EXPECT_EQ(get(kRbrThrDll), 'y');
  put(kMcr, 0);
  EXPECT_EQ(sink.wanted, 1);
}

TEST_F(Uart16550Test, SavesAndRestoresEverythingTheGuestCanSee) {
  put(kLcr, kLcrDlab);
  put(kRbrThrDll, 0x01);
  put(kIerDlm, 0x02);
  put(kLcr, 0x03);
  put(kIirFcr, kFcrEnable | 0xc0);
  put(kMcr, kMcrOut2 | kMcrRts);
  put(kScr, 0xa5);
  put(kIerDlm, kIerReceiver | kIerThre);
  ASSERT_EQ(uart.receive(as_byte_view("abc")), 3U);
  const ByteVector first = saved(uart);
  EXPECT_EQ(state().receive_fifo, (std::vector<std::uint8_t>{'a', 'b', 'c'}));
  EXPECT_EQ(state().lsr & kLsrDataReady, kLsrDataReady);

  FakeIrqLine other_irq;
  FakeSink other_sink;
  Uart16550 other(0x3f8, other_irq, other_sink);
  ASSERT_TRUE(other.restore(first));
  EXPECT_EQ(unpacked<schema::Uart16550>(saved(other), "UART"), state());
  EXPECT_EQ(saved(other), first);
  EXPECT_TRUE(other_irq.level());
  EXPECT_EQ(in<std::uint8_t>(other, kIirFcr), kIirFifosEnabled | kIirCharacterTimeout);
  EXPECT_EQ(in<std::uint8_t>(other, kRbrThrDll), 'a');
}

TEST_F(Uart16550Test, TellsItsLineTheLevelAgainOnResume) {
  put(kMcr, kMcrOut2);
  put(kIerDlm, kIerThre);
  const int calls = irq.calls();
  uart.resume();
  EXPECT_EQ(irq.calls(), calls + 1);
  EXPECT_TRUE(irq.level());
}

TEST_F(Uart16550Test, DerivesLineStatusFromTheFifos) {
  schema::Uart16550T odd = state();
  odd.lsr = kLsrDataReady;
  ASSERT_TRUE(uart.restore(packed(odd)));
  EXPECT_EQ(get(kLsr), kLsrTransmitterEmpty);
  odd.lsr = kLsrTransmitterEmpty;
  odd.transmit_fifo = {'x'};
  odd.receive_fifo = {'y'};
  ASSERT_TRUE(uart.restore(packed(odd)));
  EXPECT_EQ(get(kLsr), kLsrDataReady);
}

TEST_F(Uart16550Test, RefusesStatesThatTheHardwareCannotHave) {
  put(kIirFcr, kFcrEnable);
  const schema::Uart16550T good = state();
  schema::Uart16550T bad = good;
  bad.ier = 0x10;
  expect_refused(uart, packed(bad), ErrorKind::kCorrupt, "ier");
  bad = good;
  bad.mcr = 0x20;
  expect_refused(uart, packed(bad), ErrorKind::kCorrupt, "mcr");
  bad = good;
  bad.receive_fifo.assign(17, 0);
  expect_refused(uart, packed(bad), ErrorKind::kCorrupt, "receive_fifo");
  bad.fcr = 0;
  bad.receive_fifo.assign(2, 0);
  expect_refused(uart, packed(bad), ErrorKind::kCorrupt, "receive_fifo");
  bad = good;
  bad.transmit_fifo.assign(17, 0);
  expect_refused(uart, packed(bad), ErrorKind::kCorrupt, "transmit_fifo");
  bad.fcr = 0;
  bad.transmit_fifo.assign(2, 0);
  expect_refused(uart, packed(bad), ErrorKind::kCorrupt, "transmit_fifo");
}

TEST_F(Uart16550Test, SurvivesDamagedStates) {
  ASSERT_EQ(uart.receive(as_byte_view("q")), 1U);
  sink.room = 0;
  type("w");
  expect_survives_damage(uart);
}

TEST_F(Uart16550Test, RefusesAStateAboveTheSizeLimit) {
  expect_refused(uart, ByteVector(kMaxStateSize + 1), ErrorKind::kLimitExceeded, "");
}

TEST_F(Uart16550Test, NamesItselfByItsPort) {
  const DeviceEntry entry = uart.describe();
  EXPECT_EQ(entry.path, "isa0/uart@3f8");
  EXPECT_EQ(entry.type, "uart16550");
  EXPECT_EQ(entry.version, (ChunkVersion{1, 1}));
  EXPECT_EQ(entry.readable_since, (ChunkVersion{1, 0}));
}

}  // namespace
}  // namespace vmsnap::vmm
