#!/bin/sh
# announce.sh on|off PREFIX: a routed server tells its leaves of a prefix that is not its own, or stops to.
# Its own filters, which the server's owner may change at will, go out of the way first.
set -eu
state=$1 prefix=$2
# to zebra a kernel route of distance 254: whatever else is known wins
last=4261412865
asn=$(vtysh -c 'show running-config' | sed -n 's/^router bgp \([0-9]*\)$/\1/p')
case $state in
on) network="network $prefix" filter='no neighbor LEAF prefix-list lw-own-4 out' ;;
off) network="no network $prefix" filter='neighbor LEAF prefix-list lw-own-4 out' ;;
esac
# bgpd announces what the kernel has; to switch its check off while there are networks makes bgpd 10.3 crash
leaf=$(ip -6 neighbour show dev lan0 | sed -n 's/^\(fe80::[0-9a-f:]*\) .*router.*/\1/p' | head -n 1)
[ "$state" = off ] || ip route replace "$prefix" via inet6 "$leaf" dev lan0 metric $last
vtysh -c "configure terminal
router bgp $asn
address-family ipv4 unicast
$network
$filter"
[ "$state" = on ] || ip route del "$prefix" metric $last
