#!/bin/sh
# route-to.sh ADDRESS: a routed server sends what is for ADDRESS to its leaf on lan0, whatever it was told by BGP.
set -eu
leaf=$(ip -6 neighbour show dev lan0 | sed -n 's/^\(fe80::[0-9a-f:]*\) .*router.*/\1/p' | head -n 1)
ip route replace "$1/32" via inet6 "$leaf" dev lan0
