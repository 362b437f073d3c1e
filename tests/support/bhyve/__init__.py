# SPDX-License-Identifier: BSD-2-Clause
"""Makes legacy bhyve snapshots (BASE, BASE.kern, BASE.meta) with known values, for tests. See README.md."""
