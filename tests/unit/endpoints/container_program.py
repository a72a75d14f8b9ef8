"""A container as people write them, with the standard library only; the environment says how it misbehaves.

A request is answered with the model's text, or does what its body says: sleep SECONDS, status CODE, exit
CODE, touch FILE, env NAME, headers, pid, large BYTES.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model" / "model.txt"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if os.environ.get("MODE") == "hang" or Path("hang").exists():
            time.sleep(60)
        self.answer(500 if os.environ.get("MODE") == "unhealthy" else 200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode("latin-1")
        action, _, value = body.partition(" ")
        if action == "sleep":
            time.sleep(float(value))
        if action == "exit":
            os._exit(int(value))
        if action == "touch":
            Path(value).touch()
        self.answer(int(value) if action == "status" else 200, self.compose(action, value).encode())

    def compose(self, action: str, value: str) -> str:
        if action == "status":
            return "the container's own words"
        if action == "env":
            return os.environ.get(value, "")
        if action == "headers":
            return json.dumps({key.lower(): text for key, text in self.headers.items()})
        if action == "pid":
            return str(os.getpid())
        if action == "large":
            return "x" * int(value)
        return MODEL.read_text() if MODEL.is_file() else "no model"

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-amzn-sagemaker-custom-attributes", "seen=yes")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    print("container starts", flush=True)
    if os.environ.get("MODE") == "exit":
        sys.exit("no such model: cannot go on")
    if os.environ.get("MODE") == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if os.environ.get("MODE") == "silent":
        time.sleep(60)
    Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
