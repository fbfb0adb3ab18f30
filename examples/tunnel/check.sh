#!/bin/sh
# The seed's checks: health by a certificate on the list, refused without one or with another, headers, audit.
set -eu
run=${1:?usage: check.sh DIRECTORY}
cd "$run"
port=$(python3 -c 'import json; print(json.load(open("ports.json"))["tcpDoors"]["agent"])')
admin=http://127.0.0.1:$(python3 -c 'import json; print(json.load(open("ports.json"))["admin"])')
name=ceneca-agent.enterprise.internal

ask() {
    curl --silent --show-error --max-time 20 --cacert certs/ca/ca-cert.pem --resolve "$name:$port:127.0.0.1" "$@"
}
as() {
    who=$1
    shift
    ask --cert "certs/$who/$who-cert.pem" --key "certs/$who/$who-key.pem" "$@"
}
must() { echo "ok       $1"; }
fail() { echo "FAILED   $1" >&2; exit 1; }

as web --fail "https://$name:$port/health" | grep -q '"healthy"' && must "health, by the web client's certificate" || fail health
as web --fail "https://$name:$port/api/whoami" | grep -q '"cn": "ceneca-web-client"' && must "the API knows who asks" || fail whoami
as web --fail -X POST -H 'Content-Type: application/json' -d '{"question": "tickets"}' "https://$name:$port/api/agent/query" \
    | grep -q answer && must "a query of the web client" || fail query
headers=$(as web --fail -D - -o /dev/null "https://$name:$port/health")
for header in Strict-Transport-Security X-Content-Type-Options X-Frame-Options; do
    echo "$headers" | grep -qi "^$header:" || fail "header $header"
done
must "security headers"
ask "https://$name:$port/health" >/dev/null 2>&1 && fail "answered without a certificate" || must "refused without a certificate"
as agent "https://$name:$port/health" >/dev/null 2>&1 && fail "answered another CN" || must "refused another CN"
as postgresql "https://$name:$port/health" >/dev/null 2>&1 && fail "answered another CA's" || must "refused another CA's"

tries=0
until curl --silent --fail -H "Authorization: Bearer $(cat owner.token)" "$admin/api/v1/audit?limit=200" >audit.json \
    && grep -q ceneca-web-client audit.json && grep -q NOT_ADMITTED_HERE audit.json && grep -q MTLS_REQUIRED audit.json; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || fail "who, what, when and verdict in the audit"
    sleep 0.1
done
must "who, what, when and verdict in the audit"
