"""All endpoints on this machine: created, updated, invoked, measured, deleted."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from pathlib import Path

from sagemaker_local.endpoints.capture import CaptureDelivery, CaptureWriter
from sagemaker_local.endpoints.deployment import Deployment
from sagemaker_local.endpoints.endpoint import Endpoint
from sagemaker_local.endpoints.errors import EndpointError, InvokeError
from sagemaker_local.endpoints.logs import LogShipper
from sagemaker_local.endpoints.measurement import Load
from sagemaker_local.endpoints.publication import publish
from sagemaker_local.endpoints.reaper import Reaper
from sagemaker_local.endpoints.spec import (
    Cloud,
    EndpointDescription,
    EndpointSpec,
    InvokeResult,
    Limits,
)
from sagemaker_local.endpoints.utilization import UtilizationMeter
from sagemaker_local.endpoints.variant import Surroundings


class EndpointFleet:
    """The endpoints of one machine. All methods belong to the thread of one event loop."""

    def __init__(self, cloud: Cloud, state_dir: Path, limits: Limits | None = None) -> None:
        self._cloud = cloud
        self._limits = limits or Limits()
        self._folder = state_dir.resolve() / "endpoints"
        self._spool = state_dir.resolve() / "capture"
        self._endpoints: dict[str, Endpoint] = {}
        self._reaper = Reaper()
        self._logs = LogShipper(cloud.put_log)
        self._delivery = CaptureDelivery(self._spool, cloud.upload)
        self._meter = UtilizationMeter(self._folder)
        self._loops: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Remove what a killed process left, recover what it captured, start publishing logs and metrics."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        await asyncio.to_thread(self._delivery.open)
        self._loops = [
            asyncio.ensure_future(self._logs.run()),
            asyncio.ensure_future(self._publish_metrics()),
        ]

    async def close(self) -> None:
        """Drain and stop everything; captured data, logs and metrics are delivered."""
        await asyncio.gather(*(self.delete(name) for name in list(self._endpoints)))
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        await self._logs.flush()
        await asyncio.to_thread(self._delivery.close)
        self._reaper.close()

    async def start(self, spec: EndpointSpec) -> None:
        """Bring an endpoint into service. Raises EndpointError, and then it does not exist."""
        if spec.name in self._endpoints:
            raise EndpointError(f"Endpoint {spec.name} exists already.")
        endpoint = Endpoint(spec, self._cloud, self._limits)
        self._endpoints[spec.name] = endpoint
        try:
            async with endpoint.lock:
                await endpoint.deploy(self._prepare(spec), self._open_capture(spec))
        except BaseException:
            self._endpoints.pop(spec.name, None)
            raise

    async def update(self, spec: EndpointSpec) -> None:
        """Replace what runs behind a name: all new workers get ready, take over, and the old are drained.

        Raises EndpointError when the new ones cannot be started (the old ones go on), KeyError.
        """
        endpoint = self._endpoints[spec.name]
        async with endpoint.change("Updating"):
            await endpoint.deploy(self._prepare(spec), self._open_capture(spec))

    async def set_weights_and_capacities(
        self, name: str, wanted: Mapping[str, tuple[float | None, int | None]]
    ) -> None:
        """Change variants' weights and numbers of workers. Raises EndpointError, KeyError (unknown)."""
        endpoint = self._endpoints[name]
        async with endpoint.change("Updating"):
            await endpoint.resize(wanted)

    async def delete(self, name: str) -> None:
        """Drain and stop an endpoint. Raises KeyError."""
        endpoint = self._endpoints[name]
        async with endpoint.change("Deleting"):
            await endpoint.retire()
            self._endpoints.pop(name, None)
        await publish(endpoint, self._meter, self._cloud)

    async def invoke(self, name: str, body: bytes, headers: Mapping[str, str]) -> InvokeResult:
        """InvokeEndpoint; header names are lower-case. Raises InvokeError."""
        endpoint = self._endpoints.get(name)
        if endpoint is None or endpoint.deployment is None:
            message = f"Endpoint {name} of account {self._cloud.account} not found."
            raise InvokeError("ValidationError", 400, message)
        return await endpoint.invoke(body, headers)

    def describe(self, name: str) -> EndpointDescription:
        """How an endpoint stands. Raises KeyError."""
        return self._endpoints[name].describe()

    def read_load(self, name: str, variant: str) -> Load:
        """What auto scaling wants to know of a variant. Raises KeyError."""
        return self._endpoints[name].read_load(variant)

    def _prepare(self, spec: EndpointSpec) -> Deployment:
        group = f"/aws/sagemaker/Endpoints/{spec.name}"
        around = Surroundings(
            self._folder,
            self._limits,
            self._reaper,
            lambda stream, line: self._logs.write(group, stream, line),
        )
        return Deployment(spec, self._cloud, around)

    def _open_capture(self, spec: EndpointSpec) -> CaptureWriter | None:
        if spec.capture is None:
            return None
        return CaptureWriter(spec.capture, spec.name, self._spool, self._limits.capture_roll_s)

    async def _publish_metrics(self) -> None:
        while True:
            await asyncio.sleep(self._limits.metrics_s)
            await asyncio.gather(
                *(publish(each, self._meter, self._cloud) for each in list(self._endpoints.values()))
            )
