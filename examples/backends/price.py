"""A webhook that answers a question: what a send of type `price_asked` is answered with.

    python3 price.py mailbox/webhook.secret 8500
    tetherline serve --data mailbox --webhook-url http://127.0.0.1:8500/

A 2xx whose body is JSON is the `answer` that `await send({ type: 'price_asked', sku })` resolves with.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET_FILE = Path(sys.argv[1])
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 0
BODY_BYTES_MAX = 1024 * 1024
TIMESTAMP_SECONDS_MAX = 300
PRICES = {"tea": "2.40", "coffee": "3.10"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if not 0 <= length <= BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413, error("too_large", "This is too large."))
        body = self.rfile.read(length)
        if not is_signed(self.headers, body):
            # Without a reason of ours it is no refusal: the server may have a newer secret, and asks again.
            return self.answer(401)
        self.answer(*answer_to(json.loads(body)["message"]))

    def answer(self, status, answer=None):
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def answer_to(message):
    if message["type"] != "price_asked":
        return 422, error("unknown_type", "Only prices are known here.")
    return 200, {"price": PRICES.get(str(message.get("sku")))}


def error(code, message):
    return {"error": {"code": code, "message": message}}


def is_signed(headers, body):
    """As Standard Webhooks has it. The server makes the secret when it starts, so it is read when it is needed."""
    name, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TIMESTAMP_SECONDS_MAX:
        return False
    key = base64.b64decode(SECRET_FILE.read_text().strip().removeprefix("whsec_"))
    mac = hmac.new(key, f"{name}.{timestamp}.".encode() + body, hashlib.sha256)
    expected = f"v1,{base64.b64encode(mac.digest()).decode()}"
    return hmac.compare_digest(headers.get("webhook-signature", "").encode(), expected.encode())


server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
