"""One HTTP request as the gateway sees it, and AWS's answer when it refuses one."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Credential=AKIA…/20260101/us-east-1/s3/aws4_request, in the header or the query of a presigned URL
_CREDENTIAL = re.compile(r"(?P<key>[^/=]*)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")


@dataclass(frozen=True)
class Request:
    """`scope` is ASGI's."""

    scope: Scope

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @cached_property
    def headers(self) -> Mapping[str, str]:
        return {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.scope["headers"]
        }

    @cached_property
    def query(self) -> Mapping[str, list[str]]:
        return parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)

    @cached_property
    def credential(self) -> re.Match[str] | None:
        """The SigV4 credential of the header, else of a presigned URL."""
        claimed = self.headers.get("authorization", "") or self.query.get("X-Amz-Credential", [""])[0]
        return _CREDENTIAL.search(claimed)

    @property
    def service(self) -> str:
        """The service the request was signed for; empty when it is not signed."""
        return self.credential["service"] if self.credential else "s3" if self._old_key else ""

    @property
    def access_key(self) -> str:
        return self.credential["key"].strip() if self.credential else self._old_key

    @property
    def _old_key(self) -> str:
        """The access key of a URL presigned with Signature Version 2, boto3's default for S3."""
        return self.query.get("AWSAccessKeyId", [""])[0]

    @property
    def action(self) -> str:
        """The operation of an `X-Amz-Target` protocol, e.g. PutItem; empty for the others."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]

    @property
    def content_length(self) -> int:
        value = self.headers.get("content-length", "0")
        return int(value) if value.isdigit() else 0


@dataclass(eq=False)
class Refusal(Exception):
    """Answered instead of passing the request on, in the error format of the service it was meant for."""

    status: int
    code: str
    message: str


async def send_refusal(send: Send, request: Request, refusal: Refusal, unread: bool = False) -> None:
    """Send `refusal` as the request's service would say it.

    With `unread` the request's body was not received: the connection is closed, lest the next request on it
    be taken for that body.
    """
    identity = str(uuid.uuid4())
    status, headers, body = _format(request, refusal, identity)
    close = {"Connection": "close"} if unread else {}
    await send_response(send, status, {**headers, **close, "x-amzn-requestid": identity}, body)


def _format(request: Request, refusal: Refusal, identity: str) -> tuple[int, dict[str, str], bytes]:
    from ministack.core.iam_actions import _AUTH_FAILURES, access_denied_response

    protocol = _find_protocol(request)
    if not protocol:
        told = {"__type": refusal.code, "message": refusal.message}
        return refusal.status, {"Content-Type": "application/json"}, json.dumps(told).encode()
    status, headers, body = access_denied_response(
        protocol, request.action, "", identity,
        error_code=refusal.code, message=refusal.message, headers=dict(request.headers),
    )  # fmt: skip
    # Each service has a status of its own for a failed authentication.
    return status if refusal.code in _AUTH_FAILURES else refusal.status, headers, body


def _find_protocol(request: Request) -> str:
    """A service of ministack that speaks the protocol of the request's; empty for JSON."""
    from ministack.core.router import SERVICE_PATTERNS

    if request.service in SERVICE_PATTERNS:
        return request.service
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return "iam" if form else ""


async def send_response(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send one whole HTTP response."""
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body, "more_body": False})
