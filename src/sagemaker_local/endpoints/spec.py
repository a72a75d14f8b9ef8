"""What an endpoint is made of, what it answers, and what it needs from the cloud around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CaptureSpec:
    """DataCaptureConfig: what of each invocation is written below `destination` (an S3 URI)."""

    destination: str
    sampling_percentage: int = 100
    modes: frozenset[str] = frozenset({"Input", "Output"})
    csv_content_types: frozenset[str] = frozenset()
    json_content_types: frozenset[str] = frozenset()


@dataclass(frozen=True)
class VariantSpec:
    """A production variant: `instance_count` processes of `argv` that all serve one unpacked model.

    `model_source` is the S3 URI or the path of a model.tar.gz, or None for a container that needs none.
    `environment` is what the container gets beside SageMaker's own variables.
    """

    name: str
    argv: tuple[str, ...]
    model_source: str | Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    instance_count: int = 1
    weight: float = 1.0


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint as its configuration (`config_name`, only used as a metric dimension) wants it."""

    name: str
    variants: tuple[VariantSpec, ...]
    capture: CaptureSpec | None = None
    config_name: str = ""


@dataclass(frozen=True)
class Cloud:
    """What a fleet needs from around it; every callable blocks, is called from threads, and may raise.

    fetch(uri, path)              download the object at an S3 URI to a file; OSError says why it cannot be
    upload(path, uri)             upload a file to an S3 URI
    put_log(group, stream, events)        events: (milliseconds since 1970, line) in order of time
    publish_metric(namespace, data)       data: MetricData of CloudWatch's PutMetricData, at most 1,000
    """

    fetch: Callable[[str, Path], None]
    upload: Callable[[Path, str], None]
    put_log: Callable[[str, str, Sequence[tuple[int, str]]], None]
    publish_metric: Callable[[str, Sequence[Mapping[str, Any]]], None]
    region: str = "us-east-1"
    account: str = "000000000000"


@dataclass(frozen=True)
class Limits:
    """Times in seconds and sizes in bytes, by default as documented (your-algorithms-inference-code)."""

    startup_s: float = 240  # /ping must answer 200 within it
    start_attempts: int = 3  # programs that end at once are given up sooner than after startup_s
    ping_timeout_s: float = 2
    ping_interval_s: float = 5
    failed_pings: int = 6  # in a row, then the worker is replaced
    invocation_s: float = 60
    stop_s: float = 30  # between SIGTERM and SIGKILL
    unavailable_s: float = 20  # how long a request waits while no worker of its variant is ready
    backoff_s: float = 0.25  # before the first restart of a crashed worker; doubles up to backoff_most_s
    backoff_most_s: float = 30
    payload_bytes: int = 25 * 1024 * 1024
    payload_warning_bytes: int = 6 * 1024 * 1024
    model_bytes: int = 20 * 1024**3  # unpacked
    capture_roll_s: float = 60
    metrics_s: float = 10


@dataclass(frozen=True)
class InvokeResult:
    """A container's answer. `custom_attributes` is None when it set none."""

    body: bytes
    content_type: str
    variant: str
    custom_attributes: str | None = None


@dataclass(frozen=True)
class VariantStatus:
    """How a variant stands: `current_count` processes are ready, `desired_count` are wanted."""

    name: str
    current_count: int
    desired_count: int
    current_weight: float
    desired_weight: float


@dataclass(frozen=True)
class EndpointDescription:
    """`state` is Creating, Updating, InService or Deleting (Failed endpoints no longer exist in a fleet)."""

    name: str
    state: str
    config_name: str
    variants: tuple[VariantStatus, ...]
    capture: CaptureSpec | None
    changed: datetime
