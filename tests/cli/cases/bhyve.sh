# SPDX-License-Identifier: BSD-2-Clause
# Snapshots of bhyve, made by the independent generator.
make_set() { "$SUPPORT/bhyve/make_set.py" "$@" --ram 8M; }
make_set old --generation A --vendor amd --devices net,blk
make_set new --generation C --ncpus 1 --devices blk
make_set odd --generation C --hostile cs-unusable
make_set wrong --generation C --hostile no-such-size

echo '$ snaptool info old.meta'
snaptool info old.meta
echo "exit $?"
echo '$ snaptool info new'
snaptool info new
echo "exit $?"
echo '$ snaptool check new'
snaptool check new.kern
echo "exit $?"
echo '$ snaptool check odd'
snaptool check odd
echo "exit $?"
echo '$ snaptool check wrong'
snaptool check wrong 2>&1
echo "exit $?"
echo '$ snaptool ls new'
snaptool ls new
echo "exit $?"
echo '$ snaptool show new vmcx.vcpu[0].CS'
snaptool show new 'vmcx.vcpu[0].CS'
echo "exit $?"
echo '$ snaptool show --json new virtio-blk.queue[0].vq_qsize'
snaptool show --json new 'virtio-blk.queue[0].vq_qsize'
echo "exit $?"
echo '$ snaptool show new nvme'
snaptool show new nvme 2>&1
echo "exit $?"
echo '$ snaptool explain --for snapvmm new'
snaptool explain --for snapvmm new
echo "exit $?"
echo '$ snaptool explain --for snapvmm sample.vmsnap'
snaptool explain --for snapvmm sample.vmsnap
echo "exit $?"
echo '$ snaptool info --assume prefix=B sample.vmsnap'
snaptool info --assume prefix=B sample.vmsnap 2>&1
echo "exit $?"
