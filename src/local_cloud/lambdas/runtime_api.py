"""The Lambda Runtime API of one execution environment, without a server or a thread of its own.

Whoever invokes the function drives the sockets itself: it takes the runtime's pending `GET
…/invocation/next`, answers it with the event, and reads until the runtime posts a response or an error.
Meanwhile it drains the function's output, so that nobody waits for anybody. Source: AWS Lambda developer
guide, "Using the Lambda runtime API for custom runtimes" (version 2018-06-01).

Only the function's own process can use it: the listening socket is closed as soon as the runtime has
connected to ask for its first event.
"""

from __future__ import annotations

import os
import select
import socket
import time
from dataclasses import dataclass

import httptools

PREFIX = "/2018-06-01/runtime"
MAX_PAYLOAD = 6 * 1024 * 1024 + 100  # bytes of a response; "6 MB plus 100 bytes" in AWS's own message
MAX_HEADERS = 2 * 1024 * 1024  # an error carries its X-Ray cause, up to 1 MiB, in a header
MAX_OUTPUT = 4 * 1024 * 1024  # bytes of a function's output kept per invocation
PIPE_SIZE = 65_536  # bytes
REASONS = {200: "OK", 202: "Accepted", 413: "Payload Too Large"}
STALLED = 30  # seconds after which a runtime that stops reading its event is given up


class RuntimeGone(Exception):
    """The runtime's process has closed its connection: it has exited, or is about to."""


@dataclass(frozen=True)
class Request:
    """A call of the runtime; `size` is the body's full length, also where the body itself was cut."""

    method: str
    path: str
    body: bytes
    size: int


class Output:
    """What the function prints: the read end of the pipe behind its stdout and stderr."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.ended = False
        self._kept = bytearray()

    def drain(self) -> bool:
        """Read what the pipe holds, of which at most MAX_OUTPUT is kept; whether there was anything."""
        try:
            chunk = os.read(self.descriptor, PIPE_SIZE)
        except BlockingIOError:
            return False
        self.ended = not chunk
        self._kept += chunk[: MAX_OUTPUT - len(self._kept)]
        return not self.ended

    def take(self) -> str:
        """All output since the last call; a thread that never stops printing does not hold it up."""
        for _ in range(MAX_OUTPUT // PIPE_SIZE):
            if not self.drain():
                break
        kept, self._kept = self._kept, bytearray()
        return kept.decode("utf-8", errors="replace")


class RuntimeApi:
    """Listens for one runtime and talks to it; not safe for use by several threads at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connection: Connection | None = None

    def close(self) -> None:
        """Close every socket; a runtime that still asks gets no answer and exits."""
        self._listener.close()
        if self._connection:
            self._connection.close()

    def await_runtime(self, output: Output, deadline: float) -> Request | None:
        """Wait for the runtime's first call: None when it asks for an event, else its initialisation error.

        Raises:
            RuntimeGone: the process has ended without either.
            TimeoutError: `deadline` (of `time.monotonic`) has passed.
        """
        _await_readable(self._listener, output, deadline, ends_with_output=True)
        accepted, _ = self._listener.accept()
        connection = self._connection = Connection(accepted)
        request = connection.read(output, deadline)
        if request.path != f"{PREFIX}/invocation/next":
            connection.respond(202, {}, b"")
            connection.close()
            return request
        self._listener.close()
        return None

    def exchange(self, event: bytes, headers: dict[str, str], output: Output, deadline: float) -> Request:
        """Give the runtime that has asked for an event this one, and wait for what it makes of it.

        The runtime's next call is left unread, so that it costs no time now.

        Raises:
            RuntimeGone: the process has ended.
            TimeoutError: `deadline` has passed.
        """
        if self._connection is None:
            raise RuntimeGone
        self._connection.respond(200, {"content-type": "application/json", **headers}, event)
        request = self._connection.read(output, deadline)
        self._connection.respond(202 if request.size <= MAX_PAYLOAD else 413, {}, b"")
        return request

    def await_next(self, output: Output, deadline: float) -> None:
        """Read the runtime's pending call for its next event; raises like `exchange`."""
        if self._connection is None:
            raise RuntimeGone
        self._connection.read(output, deadline)


class Connection:
    """One HTTP connection from the runtime, which asks one thing at a time; parsed by httptools."""

    _target: bytes
    _body: bytearray
    _size: int  # of the body
    _head: int  # bytes before the body
    _in_body: bool
    _awaits_continue: bool

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(STALLED)
        self._socket = accepted
        self._parser = httptools.HttpRequestParser(self)
        self._complete = False
        self.on_message_begin()

    def close(self) -> None:
        self._socket.close()

    def read(self, output: Output, deadline: float) -> Request:
        """The next request, of whose body at most MAX_PAYLOAD bytes are kept."""
        while not self._complete:
            if self._awaits_continue:
                self._awaits_continue = False
                self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
            _await_readable(self._socket, output, deadline)
            self._feed(self._receive())
        self._complete = False
        method = self._parser.get_method().decode()
        return Request(method, self._target.decode(), bytes(self._body), self._size)

    def _feed(self, data: bytes) -> None:
        self._head += 0 if self._in_body else len(data)
        if not data or self._head > MAX_HEADERS:
            raise RuntimeGone
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise RuntimeGone from error

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("a request before the answer to the last one")
        self._target, self._body, self._size = b"", bytearray(), 0
        self._head, self._in_body, self._awaits_continue = 0, False, False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"expect":
            self._awaits_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, data: bytes) -> None:
        self._awaits_continue = False
        self._size += len(data)
        self._body += data[: MAX_PAYLOAD - len(self._body)]

    def on_message_complete(self) -> None:
        self._complete = True

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65_536)
        except OSError:
            return b""

    def respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer the request that was read last."""
        fields = {**headers, "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._send(f"HTTP/1.1 {status} {REASONS[status]}\r\n{head}\r\n".encode() + body)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise RuntimeGone from error


def _await_readable(
    wanted: socket.socket, output: Output, deadline: float, *, ends_with_output: bool = False
) -> None:
    """Wait for data on a socket, draining the output; with `ends_with_output`, only as long as that."""
    poller = select.poll()
    poller.register(wanted, select.POLLIN)
    if not output.ended:
        poller.register(output.descriptor, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        ready = {descriptor for descriptor, _ in poller.poll(left * 1000)}
        if output.descriptor in ready:
            output.drain()
        if wanted.fileno() in ready:
            return
        if output.ended and output.descriptor in ready:
            if ends_with_output:
                raise RuntimeGone
            poller.unregister(output.descriptor)
