"""A backend in Python behind a gateway, with the standard library alone: it signs clients in, answers their events, and publishes.

    APP_SECRET=... API_KEY=... GATEWAY=http://localhost:3000 python3 server.py 8000

The gateway's file names it: {"app": {"url": "http://localhost:8000/socket", "secret": "...", "hooks": ["connect"]}}
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "python-publisher"))
from publish import Publisher

publisher = Publisher(os.environ["GATEWAY"], os.environ["API_KEY"])


def answer(request):
    """What a client sent, and who it is: the connect hook and the events."""
    if request["type"] == "connect":
        return sign_in(request["connection"]["auth"])
    if request["event"] == "join":
        return {"ack": [{"ok": True}], "subscribe": ["chat:lobby"]}
    if request["event"] == "say":
        said = {
            "channel": "chat:lobby",
            "event": "said",
            "data": {"text": str(request["args"][0])[:500]},
            "from": {"userId": request["user"]["userId"]},
        }
        return {"ack": [{"ok": True}], "publish": [said]}
    return {"ack": [{"ok": False, "error": {"code": "unknown_event"}}]}


def sign_in(auth):
    """Your own login comes here, by the cookies of the handshake or by what the page sends."""
    name = auth.get("name", "")
    if not re.fullmatch(r"\w{1,20}", name):
        return {"refuse": {"code": "login_required"}}
    return {"userId": name, "info": {"name": name.capitalize()}}


def is_from_gateway(headers, body):
    """Standard Webhooks: the same as the gateway's other webhooks."""
    secret = os.environ["APP_SECRET"]
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    given = (headers["webhook-signature"] or "").split(" ")
    is_good = any(hmac.compare_digest(expected, signature) for signature in given)
    return is_good and abs(time.time() - int(headers["webhook-timestamp"])) < 300


class Backend(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/announce":
            self.respond(200, publisher.publish("news:today", "announced", json.loads(body)))
        elif self.path != "/socket":
            self.respond(404, {"error": "there is nothing here"})
        elif not is_from_gateway(self.headers, body):
            self.respond(401, {"error": "the signature is wrong"})
        else:
            self.respond(200, answer(json.loads(body)))

    def respond(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    ThreadingHTTPServer(("localhost", int(sys.argv[1])), Backend).serve_forever()
