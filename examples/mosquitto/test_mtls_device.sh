#!/bin/sh
# What seed 004 wanted to be shown, from nothing: a device is enrolled, publishes over mTLS, and its message is seen with
# who sent it; another device's topic is refused; without a certificate nobody gets in; a device that is revoked is cut
# off in the middle of a session, and does not come back. With Mosquitto's own clients, in front of the hub.
#
#   COUNTERSIGN=target/release/countersign examples/mosquitto/test_mtls_device.sh
set -eu

countersign=${COUNTERSIGN:-countersign}
device=${1:-DEVICE-001}
other=${2:-DEVICE-002}

for program in curl openssl mosquitto_pub mosquitto_sub python3; do
    command -v "$program" >/dev/null || { echo "please install $program (mosquitto-clients has mosquitto_pub)" >&2; exit 1; }
done

work=$(mktemp -d)
server='' listener=''
trap '[ -z "$listener" ] || kill "$listener" 2>/dev/null || :
      [ -z "$server" ] || { kill "$server" 2>/dev/null || :; wait "$server" 2>/dev/null || :; }
      rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; tail -n 20 server.log >&2; exit 1; }
ok() { echo "ok $*"; }
# The value that a Python expression has for JSON on standard input.
field() { python3 -c 'import json, sys; print(eval("json.load(sys.stdin)" + sys.argv[1]))' "$1"; }
until_true() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || fail "not in time: $*"
        sleep 0.1
    done
}

echo '==> a server of its own, with nothing installed behind its MQTT door'
COUNTERSIGN_MQTT_DOOR_LISTEN=127.0.0.1:0 COUNTERSIGN_PUBLIC_NAMES=localhost "$countersign" serve --data-dir data \
    --ports-file ports.json --listen-admin 127.0.0.1:0 --listen-http 127.0.0.1:0 >server.out 2>server.log &
server=$!
until_true test -s ports.json
admin=http://127.0.0.1:$(field '["admin"]' <ports.json)/api/v1
door=https://localhost:$(field '["httpDoor"]' <ports.json)/api/v1
mqtt_port=$(field '["mqttDoor"]' <ports.json)

json() { curl -sS --fail-with-body -H 'content-type: application/json' "$@"; }
setup=$(cat data/setup-token)
session=$(json "$admin/setup" -d "{\"token\": \"$setup\", \"email\": \"owner@example.com\", \"password\": \"correct horse battery staple\"}" |
    field '["token"]')
as_owner() { json -H "authorization: Bearer $session" "$@"; }
curl -sS --fail-with-body "${admin%/api/v1}/pki/bundle.pem" >root.pem

echo "==> enrol $device and $other: the key never leaves the machine"
enrol() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    key=$(as_owner "$admin/enrollment-keys" -d '{}' | field '["key"]')
    python3 -c 'import json, sys
name, key = sys.argv[1:]
print(json.dumps({"enrollmentKey": key, "hostname": name, "osType": "linux", "csr": open(name + ".csr").read()}))' \
        "$1" "$key" >"$1.request"
    json --cacert root.pem "$door/agents/enroll" -d "@$1.request" >"$1.enrolled"
    python3 -c 'import json, sys
mtls = json.load(sys.stdin)["mtls"]
print(mtls["certificate"] + mtls["chain"])' <"$1.enrolled" >"$1.pem"
}
enrol "$device"
enrol "$other"
id=$(field '["deviceId"]' <"$device.enrolled")
name=$(field '["deviceName"]' <"$device.enrolled")
other_name=$(field '["deviceName"]' <"$other.enrolled")
about=$(as_owner "$admin/devices/$id")
tenant=$(echo "$about" | field '["tenant"]')
site=$(echo "$about" | field '["site"]')
openssl x509 -in "$device.pem" -noout -subject -ext subjectAltName
ok "enrolled $tenant/$name"

publish() { # DEVICE TOPIC MESSAGE
    mosquitto_pub --cafile root.pem --cert "$1.pem" --key "$1.key" -h localhost -p "$mqtt_port" -V mqttv5 -q 1 -t "$2" -m "$3"
}
taken() { as_owner "$admin/telemetry?device=$id" | field '["messages"].__len__()'; }
message="{\"ts\":\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\",\"site_id\":\"$site\",\"metrics\":{\"temp\":22.5}}"

echo '==> publish over mTLS, and see it arrive with who sent it'
publish "$device" "tenant/$tenant/device/$name/telemetry" "$message" || fail 'publish'
[ "$(taken)" = 1 ] || fail 'the message is not there'
ok 'the message arrived'

echo "==> another device's topic"
publish "$device" "tenant/$tenant/device/$other_name/telemetry" "$message" >refused.log 2>&1 || :
[ "$(as_owner "$admin/telemetry" | field '["messages"].__len__()')" = 1 ] || fail 'it went through'
until_true sh -c "curl -sS -H 'authorization: Bearer $session' '$admin/quarantined-messages' | grep -q TOPIC_IDENTITY_MISMATCH"
ok 'refused and set aside'

echo '==> no certificate'
if mosquitto_pub --cafile root.pem -h localhost -p "$mqtt_port" -t test/topic -m hello >nobody.log 2>&1; then
    fail 'somebody without a certificate got in'
fi
ok 'refused'

echo '==> revoke in the middle of a session'
mosquitto_sub --cafile root.pem --cert "$device.pem" --key "$device.key" -h localhost -p "$mqtt_port" -V mqttv5 -q 1 \
    -t "tenant/$tenant/device/$name/commands" >listener.log 2>&1 &
listener=$!
as_owner "$admin/devices/$id/commands" -d '{"type": "ping"}' >queued.json
until_true grep -q ping listener.log
ok 'a command reached it'
certificate=$(as_owner "$admin/devices/$id/certificates" | field '["certificates"][0]["id"]')
as_owner "$admin/certificates/$certificate/revoke" -d '{"reason": "keyCompromise"}' >revoked.json
until_true grep -q 'end=Cut' server.log
ok 'cut off'
if publish "$device" "tenant/$tenant/device/$name/telemetry" "$message" >again.log 2>&1; then
    fail 'it came back'
fi
[ "$(taken)" = 1 ] || fail 'its message was taken'
ok 'it does not come back'
publish "$other" "tenant/$tenant/device/$other_name/telemetry" "$message" || fail 'the other device is not served'
ok 'the other device is still served'
