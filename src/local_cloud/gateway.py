"""The one port: looks at each request, refuses what must not pass, and routes by signed service.

request ─▶ loopback host? ─▶ open path? ─▶ signed, not as root? ─▶ small? ─▶ service here? ─▶ disk free?
                                                                                                 │
                                         mounted application (sagemaker, …), authorized here ◀───┤
                                         ministack, which authorizes itself ◀────────────────────┘
                                                 │
                                         save() ─▶ response: what it acknowledges is on disk
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from local_cloud import emulator
from local_cloud.authorization import authorize
from local_cloud.errors import StorageFull
from local_cloud.requests import (
    Application,
    Message,
    Receive,
    Refusal,
    Request,
    Scope,
    Send,
    send_refusal,
)

MAX_BODY = 256 * 1024**2

# Names under which a program on this machine may call; anything else is a web page playing DNS tricks.
_LOOPBACK = re.compile(r"^(?:127\.0\.0\.1|\[::1\]|(?:[a-z0-9.-]+\.)?localhost)(?::\d+)?$", re.IGNORECASE)

# ministack's own pages. Only these two are open: CloudFormation hands out their unguessable addresses.
_CLOSED = re.compile(r"^/(?:_ministack|_localstack|_aws)(?:/|$)")
_OPEN = re.compile(r"^/_ministack/cfn-(?:response|signal)/")


class Keeps(Protocol):
    """What the gateway needs of Durability."""

    def begin(self, request: Request) -> None:
        """Before `request` is passed on. Raises StorageFull when there may be no room for what it writes."""

    def save(self, request: Request) -> None:
        """Return when everything the response to `request` may acknowledge is on disk. Raises StorageFull."""


class Gateway:
    """An ASGI application (HTTP only). `mounts` maps a SigV4 service name to its application."""

    def __init__(self, aws: Application, mounts: Mapping[str, Application], durability: Keeps) -> None:
        self._aws = aws
        self._mounts = mounts
        self._durability = durability

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        try:
            application = self._admit(request)
        except Refusal as refusal:
            await send_refusal(send, request, refusal, unread=await _skip_body(request, receive))
            return
        try:
            receive = _bound(receive)
            if application is not self._aws:
                receive = await authorize(request, receive)
            await application(scope, receive, _Reply(send, self._durability, request))
        except Refusal as refusal:
            await send_refusal(send, request, refusal, unread=refusal.status == 413)

    def _admit(self, request: Request) -> Application:
        if not _LOOPBACK.match(request.headers.get("host", "")):
            raise Refusal(
                403, "ForbiddenHost", "The Host header must name this machine: 127.0.0.1 or localhost."
            )
        if _OPEN.match(request.path):
            return self._aws
        if _CLOSED.match(request.path) or request.path == "/health":
            raise Refusal(404, "NotFound", f"There is nothing at {request.path}.")
        _check_credential(request)
        if request.content_length > MAX_BODY:
            raise _too_large()
        application = self._route(request)
        try:
            self._durability.begin(request)
        except StorageFull as error:
            raise _no_room(error) from error
        return application

    def _route(self, request: Request) -> Application:
        if request.service in self._mounts:
            return self._mounts[request.service]
        if request.service in emulator.SERVICES:
            return self._aws
        here = ", ".join(sorted([*emulator.SERVICES, *self._mounts]))
        raise Refusal(
            501, "ServiceNotAvailable", f"The local cloud has no service {request.service!r}. It has: {here}."
        )


def _check_credential(request: Request) -> None:
    from ministack.core.iam_evaluator import is_root_access_key

    if not request.access_key:
        raise Refusal(403, "MissingAuthenticationToken", "The request is not signed.")
    if is_root_access_key(request.access_key):
        raise Refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")


async def _skip_body(request: Request, receive: Receive) -> bool:
    """Receive and forget a short body; whether it was left unread instead.

    A client that says `Expect: 100-continue` has not sent it yet, and need not.
    """
    if "expect" in request.headers or request.content_length > 1024**2:
        return True
    while (await receive()).get("more_body"):
        pass
    return False


def _no_room(error: StorageFull) -> Refusal:
    return Refusal(507, "InsufficientStorage", f"{error.message} {error.hint}")


def _too_large() -> Refusal:
    return Refusal(
        413, "EntityTooLarge", f"The request is larger than {MAX_BODY // 1024**2} MiB; upload in parts."
    )


def _bound(receive: Receive) -> Receive:
    """`receive`, ending with Refusal when a body without Content-Length grows too large."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            raise _too_large()
        return message

    return bounded


class _Reply:
    """Sends a response only when what it acknowledges is kept, without ministack's CORS wildcard."""

    def __init__(self, send: Send, durability: Keeps, request: Request) -> None:
        self._send = send
        self._durability = durability
        self._request = request
        self._refused = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            try:
                self._durability.save(self._request)
            except StorageFull as error:
                self._refused = True
                await send_refusal(self._send, self._request, _no_room(error))
            message["headers"] = _close_cors(message["headers"])
        if not self._refused:
            await self._send(message)


def _close_cors(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    if (b"access-control-allow-origin", b"*") not in {(name.lower(), value) for name, value in headers}:
        return headers
    return [(name, value) for name, value in headers if not name.lower().startswith(b"access-control-")]
