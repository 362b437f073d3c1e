# SPDX-License-Identifier: BSD-2-Clause
try() {
  echo "\$ snaptool $*"
  snaptool "$@" 2>&1
  echo "exit $?"
}

# Cut behind the memory: what there is of devices is lost.
offset=$(snaptool ls sample.vmsnap | awk '$4 == "RAMF" { end = $2 + $3 } END { print end }')
head -c "$offset" sample.vmsnap >cut.vmsnap
try recover cut.vmsnap rescued.vmsnap
try check rescued.vmsnap
snaptool check --json sample.vmsnap | grep memory_digest
snaptool check --json rescued.vmsnap | grep memory_digest
snaptool info rescued.vmsnap | grep -e features -e 'state of'
snaptool show rescued.vmsnap chunk#10

# A damaged header in the middle.
cp sample.vmsnap header.vmsnap
offset=$(snaptool ls sample.vmsnap | awk '$4 == "RAMF" { print $2; exit }')
printf 'X' | dd of=header.vmsnap bs=1 seek=$((offset + 20)) conv=notrunc status=none
try recover --json header.vmsnap rescued.vmsnap | sed -e 's/"uuid": .*/"uuid": ...,/' -e 's/"root": .*/"root": ...,/'

# Nothing to save, and nothing to do.
head -c 20000 sample.vmsnap >tables.vmsnap
try recover tables.vmsnap no.vmsnap
try recover sample.vmsnap whole.vmsnap
try check whole.vmsnap
try recover sample.vmsnap sample.vmsnap
try recover sample.vmsnap ./sample.vmsnap
ls -A
