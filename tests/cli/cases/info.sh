# SPDX-License-Identifier: BSD-2-Clause
# How much of the file is on the disk depends on the file system.
snaptool info sample.vmsnap | sed 's/, [^,]* on the disk//'
snaptool info --json sample.vmsnap | grep -v allocated_size
