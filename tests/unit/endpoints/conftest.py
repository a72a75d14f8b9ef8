"""A fleet with a folder in place of S3 and lists in place of CloudWatch."""

from __future__ import annotations

import asyncio
import gc
import io
import shutil
import sys
import tarfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local.endpoints import Cloud, EndpointFleet, EndpointSpec, Limits, VariantSpec

ARGV = (sys.executable, str(Path(__file__).with_name("container_program.py")))
# Fast enough for tests, slow enough for a loaded machine.
QUICK = Limits(
    startup_s=30,
    ping_interval_s=0.2,
    stop_s=5,
    unavailable_s=20,
    backoff_s=0.05,
    capture_roll_s=2,
    metrics_s=0.2,
)


@dataclass
class Place:
    """What surrounds a fleet in a test."""

    folder: Path
    logs: list[tuple[str, str, str]] = field(default_factory=list)
    metrics: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    @property
    def cloud(self) -> Cloud:
        return Cloud(self.fetch, self.upload, self.put_log, self.publish_metric, "us-east-1", "123456789012")

    def locate(self, uri: str) -> Path:
        return self.folder / "s3" / uri.removeprefix("s3://")

    def fetch(self, uri: str, path: Path) -> None:
        shutil.copyfile(self.locate(uri), path)

    def upload(self, path: Path, uri: str) -> None:
        self.locate(uri).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, self.locate(uri))

    def put_log(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        self.logs += [(group, stream, line) for _, line in events]

    def publish_metric(self, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
        self.metrics += [(namespace, each) for each in data]

    def put_model(self, uri: str, text: str) -> str:
        self.locate(uri).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(self.locate(uri), "w:gz") as tar:
            member = tarfile.TarInfo("model.txt")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
        return uri

    def run(
        self, test: Callable[[EndpointFleet], Awaitable[None]], limits: Limits = QUICK, **changes: Any
    ) -> None:
        """Run a test with an open fleet, and close it."""

        async def go() -> None:
            fleet = EndpointFleet(self.cloud, self.folder / "state", replace(limits, **changes))
            await fleet.open()
            try:
                await test(fleet)
            finally:
                await fleet.close()

        asyncio.run(go())
        gc.collect()  # a process that was not waited for warns now, and a warning fails the test


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def specify(name: str = "bikes", **changes: Any) -> EndpointSpec:
    """An endpoint with one variant; `changes` go to the variant."""
    variant = replace(VariantSpec("AllTraffic", ARGV), **changes)
    return EndpointSpec(name, (variant,), config_name=f"{name}-config")
