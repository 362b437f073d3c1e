# SPDX-License-Identifier: BSD-2-Clause
show() {
  echo "\$ snaptool show $*"
  snaptool show "$@"
  echo "exit $?"
}
# A device that this build knows nothing of.
show sample.vmsnap void0
show --docs sample.vmsnap wormhole
show --json sample.vmsnap void0
# Paths contain dots.
show sample.vmsnap pci0/00:03.0.pci.bars
show --json sample.vmsnap pci0/00:03.0.pci.bars[1].size
show sample.vmsnap cpu1.rip
show sample.vmsnap uart16550
show sample.vmsnap memory
show sample.vmsnap manifest.devices[4].features
show sample.vmsnap cpu9 2>&1
show sample.vmsnap cpu0.rpi 2>&1 | sed 's/\(rpi\).*/\1.../'
