"""Endpoints in the background: what a record wants, the fleet does, and the record says how it went."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from sagemaker_local.endpoints import CaptureSpec, EndpointError, EndpointSpec, VariantSpec
from sagemaker_local.errors import ApiError
from sagemaker_local.images import find_image
from sagemaker_local.jobs.environment import base_environment
from sagemaker_local.store import Record

if TYPE_CHECKING:
    from sagemaker_local.plane import Plane

KIND = "endpoint"
logger = logging.getLogger(__name__)


def make_spec(plane: Plane, record: Mapping[str, Any]) -> EndpointSpec:
    """What the fleet must run for an endpoint. Raises ApiError when an image is no longer registered."""
    return EndpointSpec(
        name=record["EndpointName"],
        config_name=record["EndpointConfigName"],
        variants=tuple(_make_variant(plane, variant) for variant in record["Deployed"]),
        capture=_make_capture(record.get("Capture")),
    )


def _make_variant(plane: Plane, variant: Mapping[str, Any]) -> VariantSpec:
    image = find_image(plane.config.images, variant["Image"])
    assert image.serve is not None
    own = {**base_environment(plane.config, isolated=variant["Isolated"]), **image.environment}
    return VariantSpec(
        name=variant["VariantName"],
        argv=image.serve,
        model_source=variant.get("ModelDataUrl"),
        environment={**own, **variant.get("Environment", {})},
        instance_count=variant["InstanceCount"],
        weight=variant["Weight"],
    )


def _make_capture(capture: Mapping[str, Any] | None) -> CaptureSpec | None:
    if not capture or not capture.get("EnableCapture", True):
        return None
    headers = capture.get("CaptureContentTypeHeader", {})
    modes = {option["CaptureMode"] for option in capture["CaptureOptions"]}
    return CaptureSpec(
        destination=capture["DestinationS3Uri"],
        sampling_percentage=capture["InitialSamplingPercentage"],
        modes=frozenset({"Input", "Output"} if "InputAndOutput" in modes else modes),
        csv_content_types=frozenset(headers.get("CsvContentTypes", ())),
        json_content_types=frozenset(headers.get("JsonContentTypes", ())),
    )


async def start_endpoint(plane: Plane, name: str) -> None:
    """Creating becomes InService or Failed."""
    reason = await _attempt(name, _follow_record(plane, name, plane.fleet.start))
    await _settle(plane, name, "Failed" if reason else "InService", reason)


async def update_endpoint(plane: Plane, name: str, before: Mapping[str, Any]) -> None:
    """Updating becomes InService; when the new fleet cannot start, with everything as `before`."""
    reason = await _attempt(name, _follow_record(plane, name, plane.fleet.update))
    back = {key: before.get(key) for key in ("EndpointConfigName", "Deployed", "Capture")} if reason else {}
    await _settle(plane, name, "InService", reason, **back)


async def resize_endpoint(
    plane: Plane, name: str, wanted: Mapping[str, tuple[float | None, int | None]]
) -> None:
    """Updating becomes InService with other weights and instance counts."""
    reason = await _attempt(name, _resize(plane, name, wanted))
    await _settle(plane, name, "InService", reason)


async def set_capacity(plane: Plane, name: str, variant: str, count: int) -> None:
    """Auto scaling's way to resize: waits until done. Raises EndpointError, KeyError."""
    await _resize(plane, name, {variant: (None, count)})


async def _resize(plane: Plane, name: str, wanted: Mapping[str, tuple[float | None, int | None]]) -> None:
    try:
        await plane.fleet.set_weights_and_capacities(name, wanted)
    finally:  # some variants may have got their size
        await _keep_sizes(plane, name)


async def delete_endpoint(plane: Plane, name: str) -> None:
    """Deleting becomes nothing."""
    with contextlib.suppress(KeyError):  # a Failed endpoint runs nothing
        await plane.fleet.delete(name)
    await asyncio.to_thread(plane.store.remove, KIND, name)


async def _follow_record(plane: Plane, name: str, change: Callable[[EndpointSpec], Awaitable[None]]) -> None:
    record = await asyncio.to_thread(plane.store.find, KIND, name)
    await change(make_spec(plane, record or {}))


async def _attempt(name: str, change: Awaitable[None]) -> str:
    """Let the fleet change; the reason when it cannot."""
    try:
        await change
    except EndpointError as error:
        return error.reason
    except ApiError as error:
        return error.message
    except Exception as error:
        logger.exception("endpoint %s", name)
        return f"InternalServerError: {error}"
    return ""


async def _settle(plane: Plane, name: str, status: str, reason: str, **changes: Any) -> None:
    def edit(record: Record) -> None:
        record.update(changes, EndpointStatus=status)
        record.pop("FailureReason", None)
        if reason:
            record["FailureReason"] = reason[:1024]

    await asyncio.to_thread(plane.store.change, KIND, name, edit)


async def _keep_sizes(plane: Plane, name: str) -> None:
    """Weights and counts that the fleet has now outlive a restart."""
    now = {status.name: status for status in plane.fleet.describe(name).variants}

    def edit(record: Record) -> None:
        for variant in record["Deployed"]:
            if status := now.get(variant["VariantName"]):
                variant.update(Weight=status.desired_weight, InstanceCount=status.desired_count)

    await asyncio.to_thread(plane.store.change, KIND, name, edit)


def recover_endpoints(plane: Plane) -> None:
    """After a restart: what was in service comes back, what was being deleted goes."""
    for record in plane.store.list(KIND):
        name, status = record["EndpointName"], record["EndpointStatus"]
        if status == "Deleting":
            plane.store.remove(KIND, name)
        elif status != "Failed":
            plane.store.change(KIND, name, lambda kept: kept.update(EndpointStatus="SystemUpdating"))
            plane.spawn(start_endpoint(plane, name))
