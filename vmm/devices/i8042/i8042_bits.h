// SPDX-License-Identifier: BSD-2-Clause
// Commands and bits of the keyboard controller. Private to the device and its tests.
#pragma once

#include <cstdint>

namespace vmsnap::vmm::i8042 {

inline constexpr std::uint8_t kStatusOutputFull = 0x01;
inline constexpr std::uint8_t kStatusInputFull = 0x02;
inline constexpr std::uint8_t kStatusSystem = 0x04;
inline constexpr std::uint8_t kStatusCommand = 0x08;  // the last write was to the command port
inline constexpr std::uint8_t kStatusNotInhibited = 0x10;
inline constexpr std::uint8_t kStatusAuxiliary = 0x20;
inline constexpr std::uint8_t kStatusTimeout = 0x40;
inline constexpr std::uint8_t kStatusParity = 0x80;
/// What describes the byte in the output buffer, and goes with it.
inline constexpr std::uint8_t kStatusOfByte = kStatusAuxiliary | kStatusTimeout | kStatusParity;

inline constexpr std::uint8_t kByteKeyboardInterrupt = 0x01;
inline constexpr std::uint8_t kByteSystem = 0x04;
inline constexpr std::uint8_t kByteKeyboardDisabled = 0x10;
inline constexpr std::uint8_t kByteAuxiliaryDisabled = 0x20;

inline constexpr std::uint8_t kOutputNotReset = 0x01;
inline constexpr std::uint8_t kOutputA20 = 0x02;
inline constexpr std::uint8_t kOutputKeyboardInterrupt = 0x10;

inline constexpr std::uint8_t kReadRam = 0x20;   // ..3fh
inline constexpr std::uint8_t kWriteRam = 0x60;  // ..7fh, takes a byte
inline constexpr std::uint8_t kRamMask = 0xe0;
inline constexpr std::uint8_t kTestPassword = 0xa4;
inline constexpr std::uint8_t kDisableAuxiliary = 0xa7;
inline constexpr std::uint8_t kEnableAuxiliary = 0xa8;
inline constexpr std::uint8_t kTestAuxiliary = 0xa9;
inline constexpr std::uint8_t kSelfTest = 0xaa;
inline constexpr std::uint8_t kTestKeyboard = 0xab;
inline constexpr std::uint8_t kDisableKeyboard = 0xad;
inline constexpr std::uint8_t kEnableKeyboard = 0xae;
inline constexpr std::uint8_t kReadInputPort = 0xc0;
inline constexpr std::uint8_t kReadOutputPort = 0xd0;
inline constexpr std::uint8_t kWriteOutputPort = 0xd1;       // takes a byte
inline constexpr std::uint8_t kWriteKeyboardBuffer = 0xd2;   // takes a byte
inline constexpr std::uint8_t kWriteAuxiliaryBuffer = 0xd3;  // takes a byte
inline constexpr std::uint8_t kWriteAuxiliary = 0xd4;        // takes a byte
inline constexpr std::uint8_t kPulse = 0xf0;                 // ..ffh: pulses the output bits that are 0

inline constexpr std::uint8_t kSelfTestPassed = 0x55;
inline constexpr std::uint8_t kInterfaceGood = 0x00;
inline constexpr std::uint8_t kInterfaceClockLow = 0x01;
inline constexpr std::uint8_t kPasswordAbsent = 0xf1;
inline constexpr std::uint8_t kInputPortUnlocked = 0x80;
inline constexpr std::uint8_t kResend = 0xfe;

}  // namespace vmsnap::vmm::i8042
