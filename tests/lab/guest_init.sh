#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# PID 1 of the guest: drivers first, then the workload that the kernel command line names.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "$module"
done </modules/drivers
for features in /sys/bus/virtio/devices/*/features; do
    [ -e "$features" ] && read -r bits <"$features" && echo "virtio-features $bits"
done
case " $(cat /proc/cmdline) " in
*" vmsnap.workload=shell "*) exec setsid -c sh ;;
esac
exec guest_workload
