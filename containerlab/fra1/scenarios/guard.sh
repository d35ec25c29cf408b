#!/bin/sh
# guard.sh out|back FAMILY CHAIN: lets everything pass a chain of the table `leafwall` at its head, or no longer.
set -eu
state=$1 family=$2 chain=$3
case $state in
out) nft insert rule "$family" leafwall "$chain" accept comment '"without guard"' ;;
back)
    handle=$(nft -a list chain "$family" leafwall "$chain" | sed -n 's/.*comment "without guard" # handle //p')
    nft delete rule "$family" leafwall "$chain" handle "$handle"
    ;;
esac
