"""A serving container: answers with what it was asked, or fails when told."""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

model = Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body.startswith(b"fail"):
            self.answer(500, b"told to fail")
        else:
            told = {"body": body.decode(), "files": sorted(p.name for p in model.rglob("*") if p.is_file())}
            self.answer(200, json.dumps({**told, "type": self.headers["Content-Type"]}).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


if (model / "exit").exists():
    print("this model cannot be served", flush=True)
    sys.exit(1)
server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server.serve_forever()
