"""A stand-in for SageMaker's runtime where a test needs answers that no real model can be made to give.

It reads the answer from the photo: after the signature of PNG comes `[p, p, ood]`; any other PNG is a
bicycle. Anything without the signature is refused as the real container refuses it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"


def draw(bicycle: float, ood: float = 0.0, filler: bytes = b"") -> bytes:
    """A "photo" of which the endpoint thinks this."""
    return PNG + json.dumps([bicycle, round(1 - bicycle, 9), ood]).encode() + b"\n" + filler


def read_wish(body: bytes) -> list[float]:
    try:
        return [float(number) for number in json.loads(body[len(PNG) :].split(b"\n")[0])]
    except ValueError:
        return [0.99, 0.01, 0.0]


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.split("/")[2] == "gone":
            return self._send(
                400, b'{"Message": "Endpoint gone not found."}', "x-amzn-errortype: ValidationError"
            )
        if not body.startswith(PNG):
            refusal = {"OriginalStatusCode": 415, "OriginalMessage": "not an image that can be read"}
            return self._send(424, json.dumps(refusal).encode(), "x-amzn-errortype: ModelError")
        *probabilities, ood = read_wish(body)
        attributes = f"X-Amzn-SageMaker-Custom-Attributes: ood={ood},model=stand-in"
        return self._send(200, json.dumps(probabilities).encode(), attributes)

    def _send(self, status: int, body: bytes, header: str) -> None:
        self.send_response(status)
        self.send_header(*header.split(": ", 1))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextmanager
def serve_endpoint() -> Iterator[str]:
    """The stand-in's address."""
    with _Server(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
