"""The ASGI application: HTTP in, operations of the control plane and invocations of endpoints out."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from sagemaker_local.api.operations import OPERATIONS
from sagemaker_local.config import Config
from sagemaker_local.endpoints import InvokeError, InvokeResult
from sagemaker_local.errors import ApiError, reject
from sagemaker_local.plane import Plane
from sagemaker_local.protocol import (
    Response,
    answer_error,
    answer_json,
    check_request,
    read_request,
    read_target,
    write_response,
)
from sagemaker_local.scalable import call_autoscaler

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_INVOKE = re.compile(r"^/endpoints/([^/]+)/(invocations|async-invocations|invocations-response-stream)$")
_MOST_BYTES = 26 * 1024**2
"""Of a request's body: 25 MB is the most an endpoint takes; it answers for what is a little more."""


class App:
    """One SageMaker as an ASGI application; `call` is the same without HTTP."""

    def __init__(self, config: Config) -> None:
        """Raises StateError."""
        self.plane = Plane(config)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await _send_response(await self._answer(scope, receive), send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server."""
        while True:
            kind = (await receive())["type"].removeprefix("lifespan.")
            try:
                await (self.plane.open() if kind == "startup" else self.plane.close())
            except Exception as error:
                logger.exception("%s", kind)
                await send({"type": f"lifespan.{kind}.failed", "message": str(error)})
                return
            await send({"type": f"lifespan.{kind}.complete"})
            if kind == "shutdown":
                return

    async def _answer(self, scope: Message, receive: Receive) -> Response:
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            body = await _read_body(receive)
            invoked = _INVOKE.match(scope["path"])
            if invoked:
                return await self._invoke(unquote(invoked[1]), invoked[2], body, headers)
            service, operation = read_target(headers.get("x-amz-target", ""))
            request = read_request(body)
            return answer_json(await asyncio.to_thread(self.call, service, operation, request))
        except ApiError as error:
            return answer_error(error.code, error.message, error.status)
        except Exception:
            logger.exception("%s %s", scope["path"], headers.get("x-amz-target"))
            return answer_error(
                "InternalFailure", "The request failed because of an error in this program.", 500
            )

    def call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One operation without HTTP, from any thread but the event loop's; `service` as botocore names it.

        Raises ApiError.
        """
        check_request(service, operation, request)
        if service == "application-autoscaling":
            return write_response(service, operation, call_autoscaler(self.plane, operation, request))
        function = OPERATIONS.get(operation)
        if function is None:
            raise reject(f"{operation} is not available in this SageMaker.")
        return write_response(service, operation, function(self.plane, request))

    def invoke(self, name: str, body: bytes, headers: dict[str, str]) -> InvokeResult:
        """InvokeEndpoint without HTTP, from any thread but the event loop's. Raises InvokeError."""
        return self.plane.wait_for(self.plane.fleet.invoke(name, body, headers))

    async def _invoke(self, name: str, way: str, body: bytes, headers: dict[str, str]) -> Response:
        """InvokeEndpoint of the runtime's REST protocol."""
        if way != "invocations":
            return _answer_runtime_error("ValidationError", 400, {"Message": f"{way} is not available here."})
        try:
            result = await self.plane.fleet.invoke(name, body, headers)
        except InvokeError as error:
            return _answer_runtime_error(error.code, error.status, error.body)
        answer = {
            "content-type": result.content_type,
            "x-amzn-invoked-production-variant": result.variant,
            "x-amzn-sagemaker-custom-attributes": result.custom_attributes,
        }
        return Response(200, result.body, {key: value for key, value in answer.items() if value is not None})


def create_app(config: Config) -> App:
    """See `sagemaker_local.create_app`."""
    return App(config)


def _answer_runtime_error(code: str, status: int, body: dict[str, Any]) -> Response:
    headers = {"content-type": "application/json", "x-amzn-errortype": code}
    return Response(status, json.dumps(body).encode(), headers)


async def _read_body(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise reject("The client went away.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > _MOST_BYTES:
            raise ApiError("RequestEntityTooLargeException", f"A request may have {_MOST_BYTES} bytes.", 413)
        more = message.get("more_body", False)
    return b"".join(parts)


async def _send_response(response: Response, send: Send) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
