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
from typing import Any

import h11

PREFIX = "/2018-06-01/runtime"
MAX_PAYLOAD = 6 * 1024 * 1024 + 100  # bytes of a response; "6 MB plus 100 bytes" in AWS's own message
MAX_HEADERS = 2 * 1024 * 1024  # an error carries its X-Ray cause, up to 1 MiB, in a header
MAX_OUTPUT = 4 * 1024 * 1024  # bytes of a function's output kept per invocation
PIPE_SIZE = 65_536  # bytes
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
        connection = Connection(accepted)
        request = connection.read(output, deadline)
        if request.path != f"{PREFIX}/invocation/next":
            connection.respond(202, {}, b"")
            connection.close()
            return request
        self._connection = connection
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
    """One HTTP connection from the runtime, parsed by h11."""

    def __init__(self, accepted: socket.socket) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(STALLED)
        self._socket = accepted
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADERS)

    def close(self) -> None:
        self._socket.close()

    def read(self, output: Output, deadline: float) -> Request:
        """The next request, of whose body at most MAX_PAYLOAD bytes are kept."""
        method = path = ""
        body, size = bytearray(), 0
        while True:
            event = self._next_event(output, deadline)
            if isinstance(event, h11.Request):
                method, path = event.method.decode(), event.target.decode()
            elif isinstance(event, h11.Data):
                size += len(event.data)
                body += event.data[: MAX_PAYLOAD - len(body)]
            elif isinstance(event, h11.EndOfMessage):
                return Request(method, path, bytes(body), size)
            else:
                raise RuntimeGone

    def _next_event(self, output: Output, deadline: float) -> Any:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise RuntimeGone from error
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            _await_readable(self._socket, output, deadline)
            self._http.receive_data(self._receive())

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65_536)
        except OSError:
            return b""

    def respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer the request that was read last."""
        fields = [*headers.items(), ("content-length", str(len(body)))]
        self._send(h11.Response(status_code=status, headers=fields), h11.Data(data=body), h11.EndOfMessage())
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()

    def _send(self, *events: Any) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
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
