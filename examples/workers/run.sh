#!/usr/bin/env bash
# Runs both Workers of seed 002 on workerd: Kush.Observer behind the door, Sesh-Tracker.com behind the egress,
# and checks that one reaches the other as whom it is, and nobody else does.
#
# Needs countersign and countersign-agent (built with cargo), curl, and workerd: `npm install` in this folder
# brings it, or WORKERD names it. Everything it writes goes to a temporary folder; what it starts, it stops.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
workerd=${WORKERD:-$here/node_modules/.bin/workerd}
countersign=${COUNTERSIGN:-$here/../../target/debug/countersign}
agent=${COUNTERSIGN_AGENT:-$here/../../target/debug/countersign-agent}
folder=$(mktemp -d)
started=()

stop() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$folder"
}
trap stop EXIT

fail() { printf 'failed: %s\n' "$*" >&2; tail -n 20 "$folder"/*.log >&2 || true; exit 1; }

# Waits until a file has something to say.
until_said() {
  local tries=0
  until [[ -s $1 ]]; do
    ((++tries < 300)) || fail "nothing in $1"
    read -rt 0.1 <> <(:) || true
  done
}

json() { sed -E "s/.*\"$1\":\"?([^\",}]+).*/\1/"; }

# Starts countersign with more arguments; leaves its ports in admin_port and door_port.
serve() {
  rm -f "$folder/ports.json"
  "$countersign" serve --data-dir "$folder/data" --listen-admin 127.0.0.1:0 --ports-file "$folder/ports.json" \
    "$@" >"$folder/countersign.log" 2>&1 &
  serving=$!
  started+=("$serving")
  until_said "$folder/ports.json"
  admin_port=$(json admin <"$folder/ports.json") door_port=$(json httpDoor <"$folder/ports.json")
}

# Starts a Worker with more arguments; leaves its port in worker_port.
worker() {
  local name=$1
  shift
  "$workerd" serve "$here/$name.capnp" --control-fd=3 "$@" 3>"$folder/$name.ports" >"$folder/$name.log" 2>&1 &
  started+=("$!")
  until_said "$folder/$name.ports"
  worker_port=$(json port <"$folder/$name.ports")
}

# An installation, and a device: Sesh-Tracker.
serve --listen-http 127.0.0.1:0 --public-name kush.observer --public-name localhost
admin=http://127.0.0.1:$admin_port/api/v1
post() { curl -sS -H 'content-type: application/json' "$@"; }
session=$(post "$admin/setup" -d "{\"token\": \"$(cat "$folder/data/setup-token")\",
  \"email\": \"you@example.com\", \"password\": \"correct horse battery staple\"}" | json token)
key=$(post "$admin/enrollment-keys" -H "authorization: Bearer $session" -d '{}' | json key)
fingerprint=$(sed -n 's/.*CA fingerprint *\([0-9a-f]\{64\}\).*/\1/p' "$folder/countersign.log" | head -n 1)
export COUNTERSIGN_AGENT_CONFIG=$folder/agent.yaml
"$agent" enroll "$key" --server "https://localhost:$door_port" --ca-fingerprint "$fingerprint" \
  --name sesh-tracker >"$folder/agent.log" 2>&1 || fail "no certificate"
pem() {
  awk -v key="$1:" '$1 == key {on = 1; next} /^[^ ]/ {on = 0} on {print $0}' "$COUNTERSIGN_AGENT_CONFIG" | sed 's/^ *//'
}
pem ca_pem >"$folder/ca.pem"
pem mtls_cert_pem >"$folder/sesh-tracker-cert.pem"
pem mtls_key_pem >"$folder/sesh-tracker-key.pem"

# Kush.Observer, and the door and the egress in front of it and beside Sesh-Tracker.
worker kush
sed "s#KUSH_PORT#$worker_port#; s#DOOR_PORT#$door_port#; s#FOLDER#$folder#" "$here/countersign.toml" \
  >"$folder/countersign.toml"
kill "$serving"
wait "$serving" || fail "countersign did not stop in order"
serve --config "$folder/countersign.toml"
worker sesh --external-addr "egress=unix:$folder/egress.sock"

checked=0
# Says what is checked, and fails unless the answer is what it should be.
check() {
  local what=$1 wanted=$2 got=$3
  [[ $got == *"$wanted"* ]] || fail "$what: $got"
  printf 'ok  %s\n' "$what"
  checked=$((checked + 1))
}
kush() {
  curl -sS --cacert "$folder/ca.pem" --resolve "kush.observer:$door_port:127.0.0.1" "$@"
}
own=(--cert "$folder/sesh-tracker-cert.pem" --key "$folder/sesh-tracker-key.pem")
url=https://kush.observer:$door_port
sesh=http://127.0.0.1:$worker_port

check "without a certificate the Worker answers 403" MTLS_REQUIRED "$(kush "$url/api/health")"
check "a forged cf changes nothing" MTLS_REQUIRED \
  "$(kush -H 'CF-Blob: {"tlsClientAuth":{"certVerified":"SUCCESS","certRevoked":"0"}}' "$url/api/health")"
check "with a certificate the Worker knows whose it is" "sesh-tracker" "$(kush "${own[@]}" "$url/api/auth/verify")"
check "GET /test/mtls-connection" '"success":true' "$(curl -sS "$sesh/test/mtls-connection")"
check "a certificate that is not on the list is not used" EGRESS_CERTIFICATE_UNKNOWN \
  "$(curl -sS "$sesh/test/another-certificate")"
check "a POST arrives with its body, as whom it is" 'sesh-tracker' \
  "$(post "$sesh/sessions" -d '{"grams": 0.5}')"
printf '%s checks passed\n' "$checked"
