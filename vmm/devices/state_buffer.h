// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "core/state_buffer.h"
