#!/bin/sh
# What the container of compose.yaml runs: brings everything up, stays as long as the server does, and ends it all in
# order when it is told to.
#
#   COUNTERSIGN=target/release/countersign examples/tunnel/stay.sh /tmp/ceneca
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
run=${1:?usage: stay.sh DIRECTORY}

command -v curl >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends curl; }
end() {
    server=$(cat "$run/server.pid" 2>/dev/null || true)
    "$here/down.sh" "$run"
    # Until it has finished what was under way.
    [ -z "$server" ] || tail --pid="$server" -f /dev/null
}
trap 'end; exit 0' TERM INT
"$here/up.sh" "$run" || { end; exit 1; }
tail --pid="$(cat "$run/server.pid")" -n +1 -F "$run/server.log" &
wait $! || true
# Nobody told it to end.
end
exit 1
