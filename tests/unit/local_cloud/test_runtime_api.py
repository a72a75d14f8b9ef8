"""The Lambda Runtime API's side of a connection, with a runtime that sends whatever it likes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from local_cloud.lambdas import runtime_api
from local_cloud.lambdas.runtime_api import Connection, Output, Request, RuntimeApi, RuntimeGone

NEXT = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n"
ANSWER = b"POST /2018-06-01/runtime/invocation/1/response HTTP/1.1\r\nContent-Length: 5\r\n"


@pytest.fixture
def runtime() -> Iterator[tuple[socket.socket, Connection]]:
    listener = socket.create_server(("127.0.0.1", 0))
    caller = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    listener.close()
    connection = Connection(accepted)
    yield caller, connection
    caller.close()
    connection.close()


@pytest.fixture
def output() -> Iterator[Output]:
    reading, writing = os.pipe()
    yield Output(reading)
    os.close(reading)
    os.close(writing)


def read(connection: Connection, output: Output) -> Request:
    return connection.read(output, time.monotonic() + 5)


def test_a_request_in_pieces_is_whole(runtime: tuple[socket.socket, Connection], output: Output) -> None:
    caller, connection = runtime
    caller.sendall(ANSWER + b"\r\n\x00\xff")
    caller.sendall(b"abc")
    request = read(connection, output)
    assert (request.method, request.path) == ("POST", "/2018-06-01/runtime/invocation/1/response")
    assert (request.body, request.size) == (b"\x00\xffabc", 5)


def test_one_exchange_after_another(runtime: tuple[socket.socket, Connection], output: Output) -> None:
    caller, connection = runtime
    for number in range(3):
        caller.sendall(NEXT)
        assert read(connection, output).method == "GET"
        connection.respond(200, {"Lambda-Runtime-Aws-Request-Id": str(number)}, b"{}")
        told = caller.recv(65_536)
        assert told.startswith(b"HTTP/1.1 200 OK\r\n")
        assert f"Lambda-Runtime-Aws-Request-Id: {number}\r\n".encode() in told
        assert told.endswith(b"content-length: 2\r\n\r\n{}")


def test_a_large_body_is_asked_for(runtime: tuple[socket.socket, Connection], output: Output) -> None:
    """curl sends a body of over a megabyte only when told to."""
    caller, connection = runtime
    caller.settimeout(5)
    caller.sendall(ANSWER + b"Expect: 100-continue\r\n\r\n")
    with pytest.raises(TimeoutError):
        connection.read(output, time.monotonic() + 0.05)
    assert caller.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    caller.sendall(b"large")
    assert read(connection, output).body == b"large"


def test_of_a_body_too_large_the_length_is_told(
    runtime: tuple[socket.socket, Connection], output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_api, "MAX_PAYLOAD", 3)
    caller, connection = runtime
    caller.sendall(ANSWER + b"\r\nlarge")
    request = read(connection, output)
    assert (request.body, request.size) == (b"lar", 5)


@pytest.mark.parametrize(
    "sent",
    [b"\x16\x03\x01 no HTTP at all\r\n\r\n", NEXT + NEXT, b"GET /" + b"x" * 2000],
    ids=["garbage", "two at once", "an endless head"],
)
def test_a_runtime_that_breaks_the_protocol_is_given_up(
    runtime: tuple[socket.socket, Connection], output: Output, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(runtime_api, "MAX_HEADERS", 1000)
    caller, connection = runtime
    caller.sendall(sent)
    with pytest.raises(RuntimeGone):
        connection.read(output, time.monotonic() + 1)


@pytest.mark.parametrize("sent", [b"", ANSWER[:-20], ANSWER + b"\r\nab"])
def test_a_runtime_that_ends_is_gone(
    runtime: tuple[socket.socket, Connection], output: Output, sent: bytes
) -> None:
    caller, connection = runtime
    caller.sendall(sent)
    caller.shutdown(socket.SHUT_WR)
    with pytest.raises(RuntimeGone):
        read(connection, output)


def test_the_connection_of_a_runtime_that_never_asks_is_closed(output: Output) -> None:
    api = RuntimeApi()
    host, _, port = api.address.partition(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(b"GET /2018-06-01/runtime/invo")
        with pytest.raises(TimeoutError):
            api.await_runtime(output, time.monotonic() + 0.1)
        api.close()
        caller.settimeout(5)
        assert caller.recv(1) == b""
        assert api._connection is not None, "only the garbage collector has closed it"
