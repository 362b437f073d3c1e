// SPDX-License-Identifier: BSD-2-Clause
//
// Time must not go backwards: one thread on each CPU compares CLOCK_MONOTONIC and the time stamp counter with
// the latest value that any CPU has seen.
#pragma once

#include "common.h"

// Starts the threads; they run for ever and complain with "time-bad ...". `check_tsc` false leaves out the
// time stamp counter, for hosts that cannot restore it. Returns the number of CPUs, 0 if a thread could not
// start.
unsigned clock_check_start(bool check_tsc);
