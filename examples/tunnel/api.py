#!/usr/bin/env python3
"""The stand-in for seed 003's API: what a FastAPI server would be, with Python's own library alone.

Every connection comes through the door, which says first who is there, by a PROXY header of version 2. The API
believes that header and nothing that a client sends. What was asked for, by whom and with which verdict it reports to
the control plane's audit (POST /api/audit), with the token in AUDIT_TOKEN_FILE.
"""

import http.server
import json
import os
import socketserver
import struct
import sys
import threading
import time
import urllib.request

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


def exactly(stream, count):
    data = stream.read(count)
    if len(data) != count:
        raise ValueError("the connection does not begin with a PROXY header")
    return data


def values(data):
    """Type-length-values."""
    found = {}
    while len(data) >= 3:
        kind, length = struct.unpack("!BH", data[:3])
        found[kind] = data[3:3 + length]
        data = data[3 + length:]
    return found


def who_is_there(stream):
    """What the door says about the client."""
    start = exactly(stream, 16)
    if start[:12] != SIGNATURE or start[12] != 0x21:
        raise ValueError("the connection does not begin with a PROXY header")
    body = exactly(stream, struct.unpack("!H", start[14:16])[0])
    families = {0x11: (12, 4), 0x21: (36, 16)}
    length, width = families.get(start[13], (0, 0))
    address = body[:width]
    client = ".".join(map(str, address)) if width == 4 else address.hex()
    told = values(body[length:])
    tls = told.get(0x20, b"\x00\x00\x00\x00\x01")
    verified = struct.unpack("!I", tls[1:5])[0] == 0
    name = values(tls[5:]).get(0x22, b"").decode()
    return {"client": client, "cn": name, "verify": "SUCCESS" if verified else "NONE"}


def report(entry):
    """Tells the audit; a failure is written down here."""
    url, token = os.environ.get("AUDIT_URL"), os.environ.get("AUDIT_TOKEN_FILE")
    if not url or not token:
        return
    try:
        with open(token, encoding="ascii") as file:
            bearer = file.read().strip()
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps(entry).encode(), headers)
        urllib.request.urlopen(request, timeout=5).close()
    except OSError as error:
        print(f"audit not told: {error}", file=sys.stderr, flush=True)


class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "api", ""

    def setup(self):
        super().setup()
        self.peer = who_is_there(self.rfile)

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def tell(self, status):
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        facts = {"client": self.peer["client"], "verdict": self.peer["verify"], "status": status}
        report({
            "timestamp": moment,
            "action": f"{self.command} {self.path}"[:200],
            "dataType": "api",
            "userId": self.peer["cn"] or "anonymous",
            "certificateUsed": self.peer["verify"] == "SUCCESS",
            "additionalData": facts,
        })

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {"status": "healthy", "service": "ceneca-agent"})
        if self.path == "/api/whoami":
            self.answer(200, self.peer)
            return self.tell(200)
        self.answer(404, {"error": "not found"})
        return self.tell(404)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", "0"))
        question = json.loads(self.rfile.read(min(length, 1 << 20)) or b"{}")
        if self.path == "/api/agent/query":
            self.answer(200, {"answer": f"nothing is known of {question.get('question')!r}"})
            return self.tell(200)
        self.answer(404, {"error": "not found"})
        return self.tell(404)

    def log_message(self, form, *arguments):
        print(f"{self.peer['cn'] or '-'} {form % arguments}", file=sys.stderr, flush=True)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        print(f"connection refused: {sys.exc_info()[1]}", file=sys.stderr, flush=True)


def main():
    server = Server(("127.0.0.1", int(sys.argv[1])), Api)
    with open(sys.argv[2] + ".new", "w", encoding="ascii") as file:
        file.write(f"{server.server_address[1]}\n")
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
