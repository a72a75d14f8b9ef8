"""The HTTP face of the model as a bare ASGI application: SageMaker's container contract and /metrics.

GET  /ping                  200 when the model answered when last asked, else 503
POST /invocations           one image in, its probabilities out; score and model in the custom attributes
GET  /execution-parameters  how batch transform should call
GET  /metrics               counters for Prometheus
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from scones.container.metrics import ServingMetrics
from scones.container.pool import InferencePool, Overloaded, Timed
from scones.errors import DataError, SconesError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

CONTENT_TYPES = frozenset({"image/png", "image/jpeg", "image/jpg", "application/x-image"})
MOST_BYTES = 25 * 1024 * 1024  # the most that InvokeEndpoint takes
ROUTES = {"/ping": "GET", "/invocations": "POST", "/execution-parameters": "GET", "/metrics": "GET"}


class Refusal(SconesError):
    """A request that gets HTTP `status` instead of an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Response:
    """Status, body and headers, ready to be sent."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServingApplication:
    """The ASGI application over a pool that is warm; `probe` is an image that the model must answer."""

    pool: InferencePool
    probe: bytes
    threads: int
    metrics: ServingMetrics = field(default_factory=ServingMetrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; other scopes (lifespan, websocket) are not ours."""
        if scope["type"] != "http":
            return
        try:
            response = await self._route(scope, receive)
        except Refusal as refusal:
            response = _refuse(refusal.status, refusal.message)
        await _send(send, response)

    async def _route(self, scope: Scope, receive: Receive) -> Response:
        path, method = scope["path"], scope["method"]
        if path not in ROUTES:
            raise Refusal(404, f"There is nothing at {path}; images go to POST /invocations.")
        if method != ROUTES[path]:
            raise Refusal(405, f"{path} takes {ROUTES[path]}, not {method}.")
        if path == "/invocations":
            return await self._invoke(scope, receive)
        if path == "/ping":
            return Response(200 if await self._answers() else 503)
        if path == "/metrics":
            return Response(
                200, self.metrics.render(self.pool.in_flight).encode(), "text/plain; version=0.0.4"
            )
        return Response(200, _describe_batches(self.threads))

    async def _answers(self) -> bool:
        if not self.pool.is_healthy() and self.pool.in_flight == 0:
            try:
                await self.pool.predict(self.probe)
            except SconesError as error:
                logger.error("The model does not answer: %s", error)
        return self.pool.is_healthy()

    async def _invoke(self, scope: Scope, receive: Receive) -> Response:
        start = time.perf_counter()
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        response = await self._classify(headers, receive)
        self.metrics.count_response(response.status, time.perf_counter() - start)
        return response

    async def _classify(self, headers: Mapping[str, str], receive: Receive) -> Response:
        try:
            _check_headers(headers)
            timed = await self.pool.predict(await _read(receive))
        except Refusal as refusal:
            return _refuse(refusal.status, refusal.message)
        except DataError as error:
            return _refuse(400, str(error))
        except Overloaded as error:
            return _refuse(503, f"{error.message} {error.hint}", {"retry-after": "1"})
        except Exception as error:  # the process edge: a request gets an answer, whatever happened
            logger.exception("An image could not be classified")
            return _refuse(500, str(error))
        self.metrics.add_phases(timed.waited, timed.decoded, timed.inferred)
        return _answer(timed, headers.get("accept", ""))


def _check_headers(headers: Mapping[str, str]) -> None:
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in CONTENT_TYPES:
        known = ", ".join(sorted(CONTENT_TYPES - {"image/jpg"}))
        raise Refusal(415, f"Content type {content_type or 'missing'!r} is not one of {known}.")
    length = headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise Refusal(413, _too_large(int(length)))


async def _read(receive: Receive) -> bytes:
    parts, total = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The connection ended before the image was complete.")
        parts.append(message.get("body", b""))
        total += len(parts[-1])
        if total > MOST_BYTES:
            raise Refusal(413, _too_large(total))
        if not message.get("more_body"):
            break
    if total == 0:
        raise Refusal(400, "The request body is empty; it must be one image.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(size: int) -> str:
    return f"The body has {size} bytes or more; an image may have at most {MOST_BYTES}."


def _answer(timed: Timed, accept: str) -> Response:
    answer = timed.answer
    probabilities = [float(value) for value in answer.probabilities]
    attributes = {"x-amzn-sagemaker-custom-attributes": f"ood={answer.ood:.4f},model={answer.model}"}
    if "application/jsonlines" in accept:  # what the built-in algorithm says to batch transform
        body = json.dumps({"prediction": probabilities}) + "\n"
        return Response(200, body.encode(), "application/jsonlines", attributes)
    return Response(200, json.dumps(probabilities).encode(), headers=attributes)


def _refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, json.dumps({"error": message}).encode(), headers=headers or {})


def _describe_batches(threads: int) -> bytes:
    return json.dumps(
        {"MaxConcurrentTransforms": 2 * threads, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 6}
    ).encode()


async def _send(send: Send, response: Response) -> None:
    headers = [(b"content-length", str(len(response.body)).encode())]
    if response.body:
        headers.append((b"content-type", response.content_type.encode()))
    headers += [(key.encode(), value.encode("latin-1")) for key, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
