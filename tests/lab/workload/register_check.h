// SPDX-License-Identifier: BSD-2-Clause
//
// Registers must survive: all sixteen XMM registers and MXCSR hold known values while the thread sleeps, and
// while it computes in user mode. Only SSE2 is used, so the check runs on the baseline CPU.
#pragma once

#include <time.h>

#include "common.h"

// Sleeps until `until` of CLOCK_MONOTONIC; complains with "xmm-bad ..." if a register changed meanwhile.
void sleep_holding_registers(const struct timespec* until, uint64_t tick);

// The same over `rounds` rounds of a loop in user mode.
void spin_holding_registers(uint64_t rounds, uint64_t tick);
