# Process 1 of the lab's machine. The shell reaps what is orphaned; the control service does the rest.
export PATH=/usr/lib/frr:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
chmod 1777 /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
modprobe -qa virtio_net virtio_rng dummy veth vrf vxlan bridge 8021q bonding nf_tables nft_ct nft_chain_nat nft_limit nft_log nft_masq nft_fib_inet \
  nft_reject_inet nf_flow_table_inet nf_log_syslog nf_conntrack
sysctl -qw kernel.printk='3 3 1 3' kernel.panic=1 fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=65536 fs.file-max=1000000 \
  net.ipv4.neigh.default.gc_thresh3=65536 net.ipv6.neigh.default.gc_thresh3=65536 net.core.rmem_max=33554432
hostname leafwall-lab
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
ulimit -n 65536
# Under emulation with several threads, code that the kernel patches while another CPU runs it is an "int3" oops. It patches the network's static keys when
# the first socket that wants timestamps opens (every ping) or the first netfilter hook of a kind is loaded. So one of each is there from the start, for ever.
python3 -c 'import socket, time
kept = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
for one in kept: one.setsockopt(socket.SOL_SOCKET, 29, 1)
kept.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5)))
while True: time.sleep(100000)' &
nft -f - <<'KEPT'
table inet kept {
  chain prerouting { type filter hook prerouting priority 0; }
  chain input { type filter hook input priority 0; }
  chain forward { type filter hook forward priority 0; }
  chain output { type filter hook output priority 0; }
  chain postrouting { type filter hook postrouting priority 0; }
}
table netdev kept {
  chain ingress { type filter hook ingress device lo priority 0; }
}
KEPT
cd /leafwall/work || exit 1
program=$(sed -n 's/.*leafwall\.program=\([^ ]*\).*/\1/p' /proc/cmdline)
while :; do
  "/leafwall/bin/$program" lab guest
  echo "LEAFWALL-GUEST-ENDED with $?"
  sleep 1
done
