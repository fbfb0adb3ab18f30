#!/bin/sh
# Brings up seed 003 on this machine, without containers: the tree of CAs and its certificates, the API, and in front of
# it a TCP door that lets in who is on its list. `check.sh` asks it, `down.sh` ends it.
#
#   COUNTERSIGN=target/release/countersign examples/tunnel/up.sh /tmp/ceneca
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
run=${1:?usage: up.sh DIRECTORY}
countersign=${COUNTERSIGN:-countersign}
port=${PORT:-8787}
admin_port=${ADMIN_PORT:-0}
http_port=${HTTP_PORT:-0}

mkdir -p -m 0700 "$run"
cd "$run"

# 1. The CAs, and a certificate for each service, each in a directory of its own.
[ -d certs ] || "$countersign" ca init --plan "$here/../ceneca.toml" --data-dir data --out certs >ca.log

# 2. The API. It is reachable on this machine alone, and believes nobody but the door.
audit_token=$run/owner.token
[ -s owner.token ] || : >owner.token
chmod 0600 owner.token
wait_for() {
    tries=0
    until [ -s "$1" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || { echo "not there in time: $1" >&2; exit 1; }
        sleep 0.1
    done
}
rm -f api.port ports.json
port_of() { python3 -c 'import json, sys; print(eval("json.load(open(sys.argv[1]))" + sys.argv[2]))' ports.json "$1"; }

# 3. The doors. The API's port is not known before it runs, and where its audit goes is not before the server does: the
#    API gets a port first, and is started last.
api_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -e "s/@API@/$api_port/" -e "s/@PORT@/$port/" "$here/countersign.toml.in" >countersign.toml
"$countersign" serve --config countersign.toml --data-dir data --ports-file ports.json \
    --listen-admin "127.0.0.1:$admin_port" --listen-http "127.0.0.1:$http_port" >server.out 2>server.log &
echo $! >server.pid
wait_for ports.json
admin=http://127.0.0.1:$(port_of '["admin"]')

# 4. The first owner, whose session the API reports to the audit with.
if [ -s data/setup-token ]; then
    python3 - "$admin" data/setup-token owner.token <<'PYTHON'
import json, secrets, sys, urllib.request
admin, setup, out = sys.argv[1:]
body = {"token": open(setup).read().strip(), "email": "owner@example.com", "password": secrets.token_urlsafe(24)}
request = urllib.request.Request(admin + "/api/v1/setup", json.dumps(body).encode(), {"Content-Type": "application/json"})
with urllib.request.urlopen(request) as answer, open(out, "w") as file:
    file.write(json.load(answer)["token"])
PYTHON
fi

AUDIT_URL=$admin/api/audit AUDIT_TOKEN_FILE=$audit_token python3 "$here/api.py" "$api_port" api.port 2>api.log &
echo $! >api.pid
wait_for api.port

echo "door     https://ceneca-agent.enterprise.internal:$(port_of '["tcpDoors"]["agent"]')"
echo "admin    $admin"
echo "ask it   $here/check.sh $run"
