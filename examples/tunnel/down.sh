#!/bin/sh
# Ends what up.sh brought up in a directory; what it made there stays.
set -eu
run=${1:?usage: down.sh DIRECTORY}
for what in api server; do
    [ -s "$run/$what.pid" ] || continue
    kill "$(cat "$run/$what.pid")" 2>/dev/null || true
    rm -f "$run/$what.pid"
done
