"""A closed loop of clients against one HTTP server, in a process of its own; prints one JSON line.

    python closed_loop.py PORT CLIENTS SECONDS REQUESTS_FILE

The file holds HTTP requests, each after its length (4 bytes). Every client keeps one connection and sends
the next request when its answer is complete. One thread and plain sockets: it costs the server little.
"""

from __future__ import annotations

import itertools
import json
import re
import selectors
import socket
import sys
import time
from pathlib import Path

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Client:
    """One connection: sends a request, collects its answer."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.began = 0.0
        self.answer = b""

    def send(self, request: bytes) -> None:
        self.answer = b""
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int:
        """The status once the answer is complete, else 0."""
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("the server closed a connection")
        self.answer += piece
        end = self.answer.find(b"\r\n\r\n")
        if end < 0:
            return 0
        length = LENGTH.search(self.answer, 0, end)
        size = len(self.answer) - end - 4
        complete = size >= int(length[1]) if length else self.answer.endswith(b"0\r\n\r\n")
        return int(self.answer[9:12]) if complete else 0


def run(port: int, clients: int, seconds: float, requests: list[bytes]) -> dict[str, object]:
    """Latencies in ms of the answers that came within `seconds`, after a warm-up of a sixth of that."""
    selector = selectors.DefaultSelector()
    endless = itertools.cycle(requests)
    for _ in range(clients):
        client = Client(port)
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.send(next(endless))
    begin = time.perf_counter() + seconds / 6
    latencies, failed, processor = [], 0, time.process_time()
    while (now := time.perf_counter()) < begin + seconds:
        for key, _ in selector.select(1):
            client = key.data
            if status := client.receive():
                now = time.perf_counter()
                if now >= begin:
                    latencies.append((now - client.began) * 1000)
                    failed += status != 200
                client.send(next(endless))
    return {
        "seconds": now - begin,
        "latencies": [round(each, 3) for each in latencies],
        "failed": failed,
        "processor": time.process_time() - processor,
    }


def read_requests(path: Path) -> list[bytes]:
    """The requests of a file."""
    content, requests = path.read_bytes(), []
    while content:
        length = int.from_bytes(content[:4])
        requests.append(content[4 : 4 + length])
        content = content[4 + length :]
    return requests


if __name__ == "__main__":
    result = run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), read_requests(Path(sys.argv[4])))
    print(json.dumps(result))
