"""One endpoint: what runs behind its name now, and the way of an invocation through it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sagemaker_local.endpoints.capture import CaptureWriter
from sagemaker_local.endpoints.capture_record import Invocation
from sagemaker_local.endpoints.connection import BadAnswer, ConnectionLost, Reply
from sagemaker_local.endpoints.deployment import Deployment
from sagemaker_local.endpoints.errors import InvokeError
from sagemaker_local.endpoints.invocation import (
    CUSTOM_ATTRIBUTES,
    INFERENCE_ID,
    TARGET_VARIANT,
    TIMED_OUT,
    build_model_error,
    check_request,
    read_reply,
    select_headers,
)
from sagemaker_local.endpoints.measurement import Load, VariantMeasurement
from sagemaker_local.endpoints.spec import (
    Cloud,
    EndpointDescription,
    EndpointSpec,
    InvokeResult,
    Limits,
    VariantStatus,
)
from sagemaker_local.endpoints.variant import Variant

logger = logging.getLogger(__name__)


@dataclass
class _Call:
    """An invocation under way: what goes to a container, what that said (0: nothing), how long it took."""

    body: bytes
    headers: Mapping[str, str]
    status: int = 0
    model_seconds: float = 0.0


class Endpoint:
    """Changed under its lock, by one caller at a time; invoked by any number meanwhile."""

    def __init__(self, spec: EndpointSpec, cloud: Cloud, limits: Limits) -> None:
        self.spec = spec
        self.state = "Creating"
        self.changed = datetime.now(UTC)
        self.lock = asyncio.Lock()
        self.deployment: Deployment | None = None
        self.measurements: defaultdict[str, VariantMeasurement] = defaultdict(VariantMeasurement)
        self._capture: CaptureWriter | None = None
        self._cloud = cloud
        self._limits = limits

    @asynccontextmanager
    async def change(self, state: str) -> AsyncIterator[None]:
        """Hold the lock, and be in `state` meanwhile."""
        async with self.lock:
            before, self.state = self.state, state
            try:
                yield
            finally:
                self.state, self.changed = before, datetime.now(UTC)

    async def deploy(self, deployment: Deployment, capture: CaptureWriter | None) -> None:
        """Start a deployment, send all requests to it from now on, retire the one before."""
        try:
            await deployment.start()
        except BaseException:
            if capture is not None:
                await asyncio.to_thread(capture.close)
            raise
        before, self.deployment = self.deployment, deployment
        before_capture, self._capture = self._capture, capture
        self.spec, self.state, self.changed = deployment.spec, "InService", datetime.now(UTC)
        if before is not None:
            await asyncio.shield(before.retire())  # who gives up waiting does not stop the draining
        if before_capture is not None:
            await asyncio.to_thread(before_capture.close)

    async def resize(self, wanted: Mapping[str, tuple[float | None, int | None]]) -> None:
        """Set weights and numbers of workers. Raises KeyError, EndpointError."""
        assert self.deployment is not None
        variants = {self.deployment.variants[name]: change for name, change in wanted.items()}
        for variant, (_, count) in variants.items():
            if count is not None:
                await variant.resize(count)
        for variant, (weight, _) in variants.items():
            variant.weight = variant.weight if weight is None else weight

    async def retire(self) -> None:
        """Drain and stop everything."""
        deployment, self.deployment = self.deployment, None
        if deployment is not None:
            await deployment.retire()
        if self._capture is not None:
            await asyncio.to_thread(self._capture.close)
            self._capture = None

    async def invoke(self, body: bytes, headers: Mapping[str, str]) -> InvokeResult:
        """One invocation, measured and captured. Raises InvokeError."""
        assert self.deployment is not None
        check_request(body, headers, self._limits)
        if len(body) > self._limits.payload_warning_bytes:
            logger.warning(
                "a payload of %d bytes for %s: not every SDK takes over 6 MB", len(body), self.spec.name
            )
        variant = self.deployment.choose(headers.get(TARGET_VARIANT))
        moment, start, call = time.time(), time.perf_counter(), _Call(body, select_headers(headers))
        measurement = self.measurements[variant.spec.name]
        measurement.begin()
        try:
            reply = await self._ask(variant, call)
        finally:
            total = time.perf_counter() - start
            measurement.end(call.status, call.model_seconds, total, len(variant.workers))
        result = read_reply(reply, variant.spec.name, self.spec.name, self._cloud)
        self._offer_capture(moment, body, headers, result)
        return result

    def describe(self) -> EndpointDescription:
        """State, variants and capture as they stand."""
        variants = self.deployment.variants if self.deployment is not None else {}
        statuses = tuple(
            VariantStatus(name, len(each.workers), each.desired_count, each.weight, each.weight)
            for name, each in variants.items()
        )
        return EndpointDescription(
            self.spec.name, self.state, self.spec.config_name, statuses, self.spec.capture, self.changed
        )

    def list_pids(self, variant: str) -> list[int]:
        """The processes of a variant that are ready now."""
        known = self.deployment.variants.get(variant) if self.deployment is not None else None
        return [worker.pid for worker in known.workers] if known is not None else []

    def read_load(self, variant: str) -> Load:
        """What a variant does. Raises KeyError."""
        if self.deployment is None:
            raise KeyError(variant)
        known = self.deployment.variants[variant]
        return self.measurements[variant].read_load(len(known.workers), known.desired_count)

    async def _ask(self, variant: Variant, call: _Call) -> Reply:
        try:
            async with asyncio.timeout(self._limits.invocation_s):
                try:
                    return await self._ask_worker(variant, call)
                except ConnectionLost:
                    # A worker that dies takes its requests with it; each gets one more chance with another.
                    return await self._ask_worker(variant, call)
        except TimeoutError:
            raise build_model_error(0, TIMED_OUT, self.spec.name, self._cloud) from None
        except (ConnectionLost, BadAnswer) as error:
            raise build_model_error(0, str(error), self.spec.name, self._cloud) from error

    async def _ask_worker(self, variant: Variant, call: _Call) -> Reply:
        worker = await variant.acquire()
        while worker is None:  # its deployment was replaced while the request waited
            if self.deployment is None:
                raise InvokeError("ServiceUnavailable", 503, f"Endpoint {self.spec.name} is being deleted.")
            worker = await self.deployment.choose(None).acquire()
        start = time.perf_counter()
        try:
            reply = await worker.invoke(call.headers, call.body)
            call.status = reply.status
            return reply
        finally:
            call.model_seconds = time.perf_counter() - start

    def _offer_capture(
        self, moment: float, body: bytes, headers: Mapping[str, str], result: InvokeResult
    ) -> None:
        if self._capture is None or not self._capture.is_sampled():
            return
        self._capture.offer(
            Invocation(
                result.variant,
                moment,
                body,
                headers.get("content-type", ""),
                result.body,
                result.content_type,
                headers.get(INFERENCE_ID),
                headers.get(CUSTOM_ATTRIBUTES),
            )
        )
