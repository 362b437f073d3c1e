# SPDX-License-Identifier: BSD-2-Clause
try() {
  echo "\$ snaptool $*"
  snaptool "$@" 2>&1
  echo "exit $?"
}
size=$(wc -c <sample.vmsnap)

# Cut in the middle of a copy.
head -c $((size - 5000)) sample.vmsnap >cut.vmsnap
try info cut.vmsnap
try ls cut.vmsnap
try check cut.vmsnap

# A byte of memory flipped: only reading everything finds it.
cp sample.vmsnap memory.vmsnap
offset=$(snaptool ls --json sample.vmsnap | sed -n 's/.*"body_offset": "\([0-9]*\)".*/\1/p' | tail -n 2 | head -n 1)
printf 'X' | dd of=memory.vmsnap bs=1 seek=$((offset + 4096)) conv=notrunc status=none
try check --level meta memory.vmsnap
try check memory.vmsnap
try check --json memory.vmsnap

# Sent as text: CR LF became LF.
sed 's/\r$//' sample.vmsnap >text.vmsnap
try info text.vmsnap

# Nothing there.
: >empty.vmsnap
try show empty.vmsnap
try show --json empty.vmsnap
