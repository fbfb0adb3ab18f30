#!/bin/sh
# Seed 004's own verification, from nothing, with a real Mosquitto that serves devices itself on a port of its own; and the
# two things that the seed's Mosquitto could not do: a device reaches no other device's topics, and a revocation ends a
# session that is under way. The commands carry the seed's numbers.
#
#   COUNTERSIGN=target/release/countersign examples/mosquitto/verify_seed_004.sh
set -eu

countersign=${COUNTERSIGN:-countersign}
PATH=$PATH:/usr/sbin

for program in curl openssl mosquitto mosquitto_pub mosquitto_sub mosquitto_passwd python3; do
    command -v "$program" >/dev/null || { echo "please install $program (packages mosquitto, mosquitto-clients)" >&2; exit 1; }
done

work=$(mktemp -d)
server='' broker='' keeper='' listener='' service=''
trap 'for child in "$listener" "$service" "$keeper" "$broker" "$server"; do
          [ -z "$child" ] || { kill "$child" 2>/dev/null || :; wait "$child" 2>/dev/null || :; }
      done
      rm -rf "$work"' EXIT
cd "$work"

fail() { echo "FAILED: $*" >&2; tail -n 20 server.log mosquitto.log keeper.log >&2 2>/dev/null; exit 1; }
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
# Ports that nobody has: the seed's 8883, 1883 and 9001.
set -- $(python3 -c 'import socket
sockets = [socket.socket() for _ in range(3)]
[one.bind(("127.0.0.1", 0)) for one in sockets]
print(*(one.getsockname()[1] for one in sockets))')
devices_port=$1 internal_port=$2 web_port=$3

echo '==> a server of its own, which keeps the accounts of the Mosquitto that is to come'
mkdir -m 700 mosquitto
openssl rand -hex 32 >mosquitto/driver.password
COUNTERSIGN_MQTT_DOOR_ENABLED=false COUNTERSIGN_PUBLIC_NAMES=localhost COUNTERSIGN_MOSQUITTO_INGEST=true \
    COUNTERSIGN_MOSQUITTO_CONTROL=tcp://127.0.0.1:$internal_port COUNTERSIGN_MOSQUITTO_PASSWORD_FILE=mosquitto/driver.password \
    "$countersign" serve --data-dir data --ports-file ports.json --listen-admin 127.0.0.1:0 --listen-http 127.0.0.1:0 \
    >server.out 2>server.log &
server=$!
until_true test -s ports.json
admin=http://127.0.0.1:$(field '["admin"]' <ports.json)/api/v1
door=https://localhost:$(field '["httpDoor"]' <ports.json)/api/v1
json() { curl -sS --fail-with-body -H 'content-type: application/json' "$@"; }
setup=$(cat data/setup-token)
session=$(json "$admin/setup" -d "{\"token\": \"$setup\", \"email\": \"owner@example.com\", \"password\": \"correct horse battery staple\"}" |
    field '["token"]')
as_owner() { json -H "authorization: Bearer $session" "$@"; }
(umask 077; as_owner "$admin/api-tokens" -d '{"name": "mosquitto"}' | field '["token"]' >token)

echo '==> Mosquitto as it was: 1883 for services and 9001 for web clients, with passwords'
mosquitto_passwd -c -b passwd service_pulse internal
chmod 600 passwd
cat >mosquitto.conf <<END
user $(id -un)
pid_file $work/mosquitto.pid
log_dest file $work/mosquitto.log
log_type all
allow_anonymous false
password_file $work/passwd
listener $internal_port 127.0.0.1
listener $web_port 127.0.0.1
protocol websockets
include_dir $work/mosquitto
END
"$countersign" mqtt mosquitto-config --dir mosquitto --listen "127.0.0.1:$devices_port" --dns localhost --ip 127.0.0.1 \
    --service service_pulse --mosquitto-conf mosquitto.conf --token-file token --ports-file ports.json --data-dir data

echo '==> 1. the configuration'
cat mosquitto/countersign.conf
echo '==> 2. and 3. start it; certificates are loaded without an error'
mosquitto -c mosquitto.conf &
broker=$!
until_true test -s mosquitto.pid
until_true grep -q 'Opening ipv4 listen socket on port '"$devices_port" mosquitto.log
if grep -i error mosquitto.log; then fail 'Mosquitto complains'; fi
until_true grep -q "devices' accounts at the broker are kept" server.log
ok 'Mosquitto runs'
"$countersign" mqtt mosquitto-config --dir mosquitto --listen "127.0.0.1:$devices_port" --dns localhost --ip 127.0.0.1 \
    --service service_pulse --mosquitto-conf mosquitto.conf --token-file token --ports-file ports.json --data-dir data \
    --pid-file mosquitto.pid --watch --interval 1 >keeper.out 2>keeper.log &
keeper=$!
root=mosquitto/current/root.pem

enrol() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
    openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
    key=$(as_owner "$admin/enrollment-keys" -d '{}' | field '["key"]')
    python3 -c 'import json, sys
name, key = sys.argv[1:]
print(json.dumps({"enrollmentKey": key, "hostname": name, "osType": "linux", "csr": open(name + ".csr").read()}))' \
        "$1" "$key" >"$1.request"
    json --cacert "$root" "$door/agents/enroll" -d "@$1.request" >"$1.enrolled"
    python3 -c 'import json, sys
mtls = json.load(sys.stdin)["mtls"]
print(mtls["certificate"] + mtls["chain"])' <"$1.enrolled" >"$1.pem"
    until_true grep -q "createClient | username=.*/$(field '["deviceName"]' <"$1.enrolled") " mosquitto.log
}
enrol DEVICE-001
enrol DEVICE-002
id=$(field '["deviceId"]' <DEVICE-001.enrolled)
tenant=$(as_owner "$admin/devices/$id" | field '["tenant"]')
topics() { echo "tenant/$tenant/device/$(field '["deviceName"]' <"$1.enrolled")"; }
one=$(topics DEVICE-001) two=$(topics DEVICE-002)
site=$(as_owner "$admin/devices/$id" | field '["site"]')
message="{\"site_id\": \"$site\", \"metrics\": {\"temp\": 22.5}}"
at_devices() { # PROGRAM DEVICE arguments
    program=$1 name=$2
    shift 2
    "$program" --cafile "$root" --cert "$name.pem" --key "$name.key" -h localhost -p "$devices_port" "$@"
}
# What services hear, the way the seed's ingest does: on 1883 with a password.
mosquitto_sub -h 127.0.0.1 -p "$internal_port" -u service_pulse -P internal -v -t 'tenant/#' >service.log 2>&1 &
service=$!
until_true grep -q 'SUBSCRIBE\|tenant/#' mosquitto.log

echo '==> 4. no certificate'
if mosquitto_pub --cafile "$root" -h localhost -p "$devices_port" -t test/topic -m hello >nobody.log 2>&1; then
    fail 'somebody without a certificate got in'
fi
ok 'refused'

echo '==> 5. and 6. a device publishes, and a service hears it'
at_devices mosquitto_pub DEVICE-001 -q 1 -t "$one/telemetry" -m "$message" || fail 'publish'
until_true grep -q "^$one/telemetry" service.log
taken() { as_owner "$admin/telemetry" | field '["messages"].__len__()'; }
until_true sh -c "curl -sS -H 'authorization: Bearer $session' '$admin/telemetry' | grep -q 22.5"
[ "$(taken)" = 1 ] || fail 'ingest has something else'
ok 'it arrived, and ingest has it'

echo '==> 7. port 1883 still works for services with passwords, and 9001 for web clients'
mosquitto_pub -h 127.0.0.1 -p "$internal_port" -u service_pulse -P internal -q 1 -t tenant/internal -m 'internal test' || fail '1883'
until_true grep -q '^tenant/internal internal test' service.log
if mosquitto_pub -h 127.0.0.1 -p "$internal_port" -u service_pulse -P wrong -t tenant/internal -m no >wrong.log 2>&1; then
    fail 'a wrong password is taken'
fi
curl -sS -i --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
    -H 'Sec-WebSocket-Protocol: mqtt' -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' \
    "http://127.0.0.1:$web_port/mqtt" >web.log 2>/dev/null || :
grep -q ' 101 ' web.log || fail '9001'
ok 'as they were'

echo "==> what the seed could not do, first: another device's topics"
at_devices mosquitto_pub DEVICE-001 -V mqttv5 -q 1 -t "$two/telemetry" -m stolen >stolen.log 2>&1 || :
at_devices mosquitto_pub DEVICE-001 -q 1 -r -t "$two/commands" -m stolen >>stolen.log 2>&1 || :
at_devices mosquitto_pub DEVICE-001 -q 1 -t '$CONTROL/dynamic-security/v1' \
    -m '{"commands": [{"command": "deleteClient", "username": "countersign"}]}' >>stolen.log 2>&1 || :
at_devices mosquitto_pub DEVICE-001 -q 1 -t "$one/telemetry/after" -m "$message"
until_true grep -q "^$one/telemetry/after" service.log
if grep -q stolen service.log; then fail 'it went through'; fi
for filter in "$two/commands" "$two/#" '#' "tenant/$tenant/device/+/commands" "\$share/g/$two/commands" '$CONTROL/#'; do
    at_devices mosquitto_sub DEVICE-001 -W 2 -t "$filter" >spied.log 2>&1 || :
    grep -q 'requests were denied' spied.log || fail "$filter was not denied: $(cat spied.log)"
done
ok 'neither written nor read'

echo '==> second: a revocation in the middle of a session'
at_devices mosquitto_pub DEVICE-001 -q 1 -r -t "$one/shadow/reported" -m kept
# Not by the function: its shell would be ended below, and the client left.
mosquitto_sub --cafile "$root" --cert DEVICE-001.pem --key DEVICE-001.key -h localhost -p "$devices_port" -i mine -c -q 1 \
    -t "$one/commands" --will-topic "$one/telemetry/will" --will-payload gone >listener.log 2>&1 &
listener=$!
until_true grep -q "$one/commands (QoS 1)" mosquitto.log
mosquitto_pub -h 127.0.0.1 -p "$internal_port" -u service_pulse -P internal -q 1 -t "$one/commands" -m reboot
until_true grep -q reboot listener.log
certificate=$(as_owner "$admin/devices/$id/certificates" | field '["certificates"][0]["id"]')
as_owner "$admin/certificates/$certificate/revoke" -d '{"reason": "keyCompromise"}' >revoked.json
until_true grep -q "disableClient | username=$tenant/" mosquitto.log
until_true grep -q 'nothing of a fallen device is left' server.log
if at_devices mosquitto_pub DEVICE-001 -V mqttv5 -q 1 -t "$one/telemetry" -m stolen >again.log 2>&1; then
    grep -q 'Not authorized' again.log || fail 'it came back'
fi
until_true grep -q 'told' keeper.out
until_true sh -c '! mosquitto_pub --cafile '"$root"' --cert DEVICE-001.pem --key DEVICE-001.key -h localhost -p '"$devices_port"' -q 1 -t '"$one"'/telemetry -m stolen >refused.log 2>&1'
kill "$listener" 2>/dev/null || :
wait "$listener" 2>/dev/null || :
listener=''
if grep -q 'stolen\|will' service.log; then fail 'something of it went through'; fi
retained=$(mosquitto_sub -h 127.0.0.1 -p "$internal_port" -u service_pulse -P internal -W 1 -t "$one/#" 2>/dev/null || :)
[ -z "$retained" ] || fail "still retained: $retained"
ok 'cut off, no will said, nothing kept, and by the list it does not come back'

at_devices mosquitto_pub DEVICE-002 -q 1 -t "$two/telemetry" -m "$message" || fail 'the other device is not served'
until_true grep -q "^$two/telemetry" service.log
ok 'the other device is still served'
