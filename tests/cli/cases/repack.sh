# SPDX-License-Identifier: BSD-2-Clause
try() {
  echo "\$ snaptool $*"
  snaptool "$@" 2>&1
  echo "exit $?"
}
digest() {
  snaptool check --json "$1" | grep memory_digest
}
digest sample.vmsnap

# To every encoding, and back.
try repack --encoding extents sample.vmsnap extents.vmsnap
try repack --compress lz4 --threads 2 extents.vmsnap lz4.vmsnap
try repack --encoding flat lz4.vmsnap flat.vmsnap
for file in extents lz4 flat; do
  digest $file.vmsnap
  snaptool info $file.vmsnap | grep -A 2 '  memory'
  stat -c %a $file.vmsnap
done
snaptool show --json sample.vmsnap >before
snaptool show --json flat.vmsnap >after
cmp before after && echo 'the states are the same'

# Through pipes, from a pipe and from a file.
snaptool repack --compress lz4 sample.vmsnap - | cat | snaptool repack - piped.vmsnap
echo "exit $?"
digest piped.vmsnap
snaptool repack - redirected.vmsnap <sample.vmsnap
digest redirected.vmsnap
cat lz4.vmsnap | snaptool repack - - | snaptool repack --compress lz4 - - >through.vmsnap
digest through.vmsnap
cat flat.vmsnap | TMPDIR=/absent snaptool repack --json - json.vmsnap | grep -E '"(file|repacked|memory_data)"'

# Over itself.
try repack --compress lz4 flat.vmsnap flat.vmsnap
digest flat.vmsnap

# What cannot be.
try repack --encoding flat --compress lz4 sample.vmsnap no.vmsnap
try repack --encoding flat sample.vmsnap -
try repack absent.vmsnap no.vmsnap
try repack sample.vmsnap absent/no.vmsnap
head -c 100000 sample.vmsnap >cut.vmsnap
try repack cut.vmsnap no.vmsnap
head -c 100000 sample.vmsnap | snaptool repack - no.vmsnap 2>&1
echo "exit $?"
{ head -c 100000 sample.vmsnap; sleep 3; } | timeout --foreground --preserve-status --signal INT 2 snaptool repack - no.vmsnap 2>&1
echo "exit $?"
head -c 100000 sample.vmsnap | snaptool repack --compress lz4 - - 2>error | snaptool repack - no.vmsnap 2>&1
echo "exit $?"
cat error
ls -A
