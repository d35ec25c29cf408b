#!/bin/busybox sh
# First process of the lab's machine: reach the root file system on the host, put a writable layer over it, go there.
busybox=/bin/busybox
fail() {
  echo "LEAFWALL-BOOT-FAILED: $1"
  $busybox poweroff -f
}
$busybox mount -t devtmpfs dev /dev || fail "devtmpfs"
$busybox mount -t proc proc /proc || fail "proc"
$busybox mount -t sysfs sys /sys || fail "sysfs"
while read -r module; do
  $busybox insmod "/modules/$module.ko" || fail "module $module"
done </modules/order
# Whether this accelerator runs a guest at all is asked with a machine that only gets this far.
if $busybox grep -q leafwall.probe /proc/cmdline; then
  echo "LEAFWALL-PROBE-OK"
  $busybox poweroff -f
fi
options=trans=virtio,version=9p2000.L,msize=512000
$busybox mount -t 9p -o $options,cache=loose,ro root /lower || fail "share root"
$busybox mount -t tmpfs -o size=60% tmpfs /upper || fail "tmpfs"
$busybox mkdir -p /upper/files /upper/work
$busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /new || fail "overlay"
$busybox mkdir -p /new/leafwall/bin /new/leafwall/work
$busybox mount -t 9p -o $options,cache=loose,ro bin /new/leafwall/bin || fail "share bin"
$busybox mount -t 9p -o $options,cache=none work /new/leafwall/work || fail "share work"
$busybox cp /machine-init /new/leafwall/machine-init
for mount in dev proc sys; do
  $busybox mount --move "/$mount" "/new/$mount" || fail "move /$mount"
done
exec $busybox switch_root /new /bin/sh /leafwall/machine-init
