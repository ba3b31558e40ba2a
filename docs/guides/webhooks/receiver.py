"""A receiver of webhooks: verifies them, answers at once, and prints each event once."""

import base64
import hashlib
import hmac
import json
import os
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Separated by blanks: two while the secret is being replaced.
SECRETS = [base64.b64decode(secret.removeprefix("whsec_")) for secret in os.environ["WEBHOOK_SECRET"].split()]
TOLERANCE_SECONDS = 300
MOST_BYTES = 20_000
seen: set[str] = set()  # In a real receiver: a unique column, written in the transaction that acts on the event.


def is_genuine(headers: Message, body: bytes) -> bool:
    """Whether one of the signatures was made with a secret, and not long ago."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    good = [base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode() for secret in SECRETS]
    sent = [each.removeprefix("v1,") for each in headers.get("webhook-signature", "").split() if each[:3] == "v1,"]
    return any(hmac.compare_digest(one, other) for one in good for other in sent)


class Receiver(BaseHTTPRequestHandler):
    """Answers genuine requests with 204, repeated ones as well, and all others with 401."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take one event."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length < MOST_BYTES else b""
        if length >= MOST_BYTES or not is_genuine(self.headers, body):
            self.answer(401)
            return
        if self.headers["webhook-id"] not in seen:
            seen.add(self.headers["webhook-id"])
            event = json.loads(body)
            print(event["type"], event["key"], flush=True)
        self.answer(204)

    def answer(self, status: int) -> None:
        """Answer without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Print events alone."""


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8787"))), Receiver)
print(f"Listening on port {server.server_port}", flush=True)
server.serve_forever()
