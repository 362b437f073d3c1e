// SPDX-License-Identifier: BSD-2-Clause
// Registers and bits of the PC16550D data sheet, table II. Private to the device and its tests.
#pragma once

#include <cstdint>

namespace vmsnap::vmm::uart16550 {

// Offsets from the first port.
inline constexpr std::uint64_t kRbrThrDll = 0;
inline constexpr std::uint64_t kIerDlm = 1;
inline constexpr std::uint64_t kIirFcr = 2;
inline constexpr std::uint64_t kLcr = 3;
inline constexpr std::uint64_t kMcr = 4;
inline constexpr std::uint64_t kLsr = 5;
inline constexpr std::uint64_t kMsr = 6;
inline constexpr std::uint64_t kScr = 7;

inline constexpr std::uint8_t kIerReceiver = 0x01;
inline constexpr std::uint8_t kIerThre = 0x02;
inline constexpr std::uint8_t kIerLineStatus = 0x04;
inline constexpr std::uint8_t kIerModem = 0x08;
inline constexpr std::uint8_t kIerMask = 0x0f;

inline constexpr std::uint8_t kIirNone = 0x01;
inline constexpr std::uint8_t kIirModem = 0x00;
inline constexpr std::uint8_t kIirThre = 0x02;
inline constexpr std::uint8_t kIirReceiver = 0x04;
inline constexpr std::uint8_t kIirLineStatus = 0x06;
inline constexpr std::uint8_t kIirCharacterTimeout = 0x0c;
inline constexpr std::uint8_t kIirIdMask = 0x0f;
inline constexpr std::uint8_t kIirFifosEnabled = 0xc0;

inline constexpr std::uint8_t kFcrEnable = 0x01;
inline constexpr std::uint8_t kFcrClearReceiver = 0x02;
inline constexpr std::uint8_t kFcrClearTransmitter = 0x04;

inline constexpr std::uint8_t kLcrDlab = 0x80;

inline constexpr std::uint8_t kMcrDtr = 0x01;
inline constexpr std::uint8_t kMcrRts = 0x02;
inline constexpr std::uint8_t kMcrOut1 = 0x04;
inline constexpr std::uint8_t kMcrOut2 = 0x08;
inline constexpr std::uint8_t kMcrLoop = 0x10;
inline constexpr std::uint8_t kMcrMask = 0x1f;

inline constexpr std::uint8_t kLsrDataReady = 0x01;
inline constexpr std::uint8_t kLsrOverrun = 0x02;
inline constexpr std::uint8_t kLsrErrors = 0x1e;            // OE, PE, FE, BI
inline constexpr std::uint8_t kLsrTransmitterEmpty = 0x60;  // THRE, TEMT

inline constexpr std::uint8_t kMsrDeltaCts = 0x01;
inline constexpr std::uint8_t kMsrDeltaDsr = 0x02;
inline constexpr std::uint8_t kMsrTrailingRi = 0x04;
inline constexpr std::uint8_t kMsrDeltaDcd = 0x08;
inline constexpr std::uint8_t kMsrDeltas = 0x0f;
inline constexpr std::uint8_t kMsrCts = 0x10;
inline constexpr std::uint8_t kMsrDsr = 0x20;
inline constexpr std::uint8_t kMsrRi = 0x40;
inline constexpr std::uint8_t kMsrDcd = 0x80;
inline constexpr std::uint8_t kMsrLines = 0xf0;
inline constexpr std::uint8_t kMsrLinesOfAConnectedPeer = kMsrCts | kMsrDsr | kMsrDcd;

}  // namespace vmsnap::vmm::uart16550
