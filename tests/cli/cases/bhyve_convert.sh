# SPDX-License-Identifier: BSD-2-Clause
# Snapshots of bhyve, converted from and to its three files.
make_set() { "$SUPPORT/bhyve/make_set.py" "$@" --ram 8M; }
# How large a file is depends on the version of the program that it names.
run() {
  echo "$ snaptool $*"
  snaptool "$@" >long 2>&1
  status=$?
  sed 's/: wrote [0-9].*/: wrote .../' long
  echo "exit $status"
}
# Of long output, the beginning.
begin() {
  count=$1
  shift
  echo "$ snaptool $*"
  snaptool "$@" >long 2>&1
  status=$?
  head -n "$count" long
  echo "..."
  echo "exit $status"
}
make_set one --generation C --ncpus 1 --devices blk
make_set two --generation C --vendor amd --devices blk:rings=none,net,net
make_set many --generation C --ncpus 20
make_set empty --generation B --ncpus 1
make_set placed --generation B --ncpus 1 --devices blk,net
make_set host --generation A --vendor amd --ncpus 1

run convert --from bhyve one one.vmsnap
begin 40 convert --from bhyve --dry-run --fields one
begin 60 convert --from bhyve --dry-run --json one
run convert --from bhyve one.vmsnap again.vmsnap
run convert --from bhyve nothing nothing.vmsnap
run convert --from bhyve one

echo
echo 'Another release:'
snaptool convert --from bhyve two two.vmsnap >/dev/null
begin 40 convert --to bhyve --shape 13.2 two.vmsnap older
run convert --to bhyve --shape 13.2 one.vmsnap one
run convert --to bhyve --shape 13.0 two.vmsnap oldest
snaptool convert --from bhyve many many.vmsnap >/dev/null
run convert --to bhyve --shape A many.vmsnap fewer
run convert --to bhyve --shape 15.9 one.vmsnap newer
run convert --to bhyve --vendor amd one.vmsnap other
run convert --to bhyve --vendor intel --shape C one.vmsnap same
run convert --to bhyve sample.vmsnap sample
ls

echo
echo 'Places that the files do not say:'
snaptool convert --from bhyve --place virtio-blk=4:0 --place lpc=31 placed placed.vmsnap | grep 'taken to be'
snaptool convert --to bhyve --shape C placed.vmsnap newest >/dev/null
grep -o '"[a-z-]*@pci[^"]*"' newest.meta
run convert --from bhyve --dry-run --place e1000=4 placed
run convert --from bhyve --dry-run --place virtio-blk=4.0 placed

echo
echo 'Repair:'
snaptool convert --from bhyve empty empty.vmsnap >/dev/null
run convert --to bhyve --shape 13.2 empty.vmsnap kept
run convert --to bhyve --shape 13.2 --repair empty.vmsnap repaired
grep -A 3 '"vmx"' kept.meta repaired.meta
snaptool convert --from bhyve host host.vmsnap >/dev/null
run convert --to bhyve --repair host.vmsnap neutral
