#!/bin/sh
# background.sh start NAME COMMAND…: repeats a command on this node, twice a second, until `background.sh stop NAME`.
set -eu
state=$1 file=/run/leafwall-attack.$LEAFWALL_NODE.$2
shift 2
case $state in
start)
    # A session of its own, so that `stop` ends what runs in it and nothing else.
    # shellcheck disable=SC2016
    setsid sh -c 'while :; do "$@" || :; sleep 0.5; done' repeat "$@" </dev/null >/dev/null 2>&1 &
    echo $! >"$file"
    ;;
stop)
    kill -s TERM -- "-$(cat "$file")"
    rm "$file"
    ;;
esac
