#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# PID 1 of L1, the lab's small host. The host's root comes by virtiofs, read-only; what a program writes
# goes to tmpfs. The command and its surroundings are in the job directory named on the kernel command line.
export PATH=/bin

fail() {
    echo "lab: L1 cannot start: $*"
    poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

load() {
    while read -r module; do
        insmod "$module" || fail "insmod $module"
    done <"$1"
}

load /modules/drivers

for word in $(cat /proc/cmdline); do
    case $word in
    lab.job=*) job=${word#lab.job=} ;;
    lab.rw=*) rw=${word#lab.rw=} ;;
    esac
done

mkdir -p /host /root
mount -t virtiofs -o ro host /host || fail "mount of the host's root"
load "/host$job/modules"
mount -o bind /host /root
mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /root/dev/pts
ln -sf /proc/self/fd /root/dev/fd
for folder in dev/shm tmp var/tmp run; do
    [ -d "/root/$folder" ] && mount -t tmpfs -o mode=1777 tmpfs "/root/$folder"
done

# A path below one of these tmpfs that the command needs is shown again, read-only.
while read -r path; do
    if [ -d "/host$path" ]; then
        mkdir -p "/root$path"
    else
        mkdir -p "/root${path%/*}"
        touch "/root$path"
    fi
    mount -o bind "/host$path" "/root$path" || fail "mount of $path"
done <"/host$job/binds"
if [ -n "$rw" ]; then
    mkdir -p "/root$rw"
    mount -t virtiofs rw "/root$rw" || fail "mount of $rw"
fi

# KVM keeps the frequency of the time stamp counter that it finds when it is loaded. L1 first calibrates it
# roughly and about a second later well; if KVM has the rough value and the two differ by more than 250 ppm,
# KVM believes that guests need scaling, which this CPU lacks, and every timer of a guest comes late.
# The clock source is called "tsc-early" until the good value is there.
tries=0
while ! grep -qx tsc /sys/devices/system/clocksource/clocksource0/current_clocksource; do
    tries=$((tries + 1))
    [ $tries -lt 2000 ] || fail "the time stamp counter was not calibrated"
    usleep 10000
done
load /modules/kvm
[ -c /dev/kvm ] || fail "there is no /dev/kvm"

ip link set lo up
mkdir -p /root/run/lab
cat "/host$job/command" >/root/run/lab/command

port=/dev/vport0p1
# The port's node appears once the driver has talked to QEMU, shortly after insmod.
tries=0
while [ ! -c $port ]; do
    tries=$((tries + 1))
    [ $tries -lt 500 ] || fail "there is no output port"
    usleep 10000
done
read -r token <"/host$job/token"
exec 3>$port
echo "$token started" >&3
chroot /root /usr/bin/setsid /bin/sh /run/lab/command </dev/null >&3 2>&1
echo "$token exit $?" >&3
exec 3>&-
poweroff -f
