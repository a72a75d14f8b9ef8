"""A small HTTP/1.1 client for the loopback connections to workers: kept alive, one request at a time on each.

A request through httpx took 1.9 ms of processor time, through this 0.07 ms (benchmarks/invocation.json), and
nothing more of HTTP is needed between us and a worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import httptools


class ConnectionLost(Exception):
    """The worker cannot be reached, or closed the connection before its answer was complete."""


class BadAnswer(Exception):
    """The worker answered what is no HTTP, or too much."""


@dataclass(frozen=True)
class Reply:
    """A worker's answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class WorkerClient:
    """Connections to the one worker at 127.0.0.1:port; answers have at most `most_bytes`."""

    def __init__(self, port: int, most_bytes: int) -> None:
        self._port = port
        self._most_bytes = most_bytes
        self._idle: list[_Connection] = []

    async def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send one request and wait for its answer; a cancelled wait closes the connection.

        Raises ConnectionLost, BadAnswer.
        """
        connection = await self._take()
        try:
            reply = await connection.exchange(_format_head(method, path, headers, len(body)), body)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    async def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._most_bytes), "127.0.0.1", self._port
            )
        except OSError as error:
            raise ConnectionLost(f"The worker does not take connections: {error}") from error
        return connection


def _format_head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {length}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Connection(asyncio.Protocol):
    """One connection: what httptools' parser calls back, and the future of the request that is under way."""

    def __init__(self, most_bytes: int) -> None:
        self.reusable = True
        self._most_bytes = most_bytes
        self._transport: asyncio.Transport | None = None
        self._reply: asyncio.Future[Reply] | None = None

    async def exchange(self, head: bytes, body: bytes) -> Reply:
        """Send a request, wait for its reply. Raises ConnectionLost, BadAnswer."""
        assert self._transport is not None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._started = False
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.writelines((head, body) if body else (head,))
        return await self._reply

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it

    def data_received(self, data: bytes) -> None:
        if self._reply is None or self._reply.done():
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BadAnswer(f"The container's answer is not HTTP: {error}"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        if self._started and not {"content-length", "transfer-encoding"} & self._headers.keys():
            self.on_message_complete()  # such a body ends with the connection
        self._fail(ConnectionLost("The container closed the connection before it answered."))

    # httptools
    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._started = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._most_bytes:
            self._fail(BadAnswer(f"The container's answer has more than {self._most_bytes} bytes."))
            self.close()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        self.reusable = self.reusable and self._parser.should_keep_alive()
        if self._reply is not None and not self._reply.done():
            status = self._parser.get_status_code()
            self._reply.set_result(Reply(status, self._headers, b"".join(self._parts)))

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)
