# SPDX-License-Identifier: BSD-2-Clause
snaptool ls sample.vmsnap
echo "exit $?"
snaptool ls --json sample.vmsnap | head -n 18
