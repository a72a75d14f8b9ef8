"""Runs a job's container: environment, logs, metrics and limits around one process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_local.images import Image
from sagemaker_local.jobs.environment import BASE, HOST, base_environment, relocate
from sagemaker_local.jobs.logs import LogStream, MetricScanner
from sagemaker_local.jobs.namespace import can_mount
from sagemaker_local.jobs.process import Command, Limits, Outcome, Process
from sagemaker_local.jobs.queue import Stop

if TYPE_CHECKING:
    from sagemaker_local.clients import Clients
    from sagemaker_local.plane import Plane

METRICS_NAMESPACE = "/aws/sagemaker/TrainingJobs"
_METRICS_SECONDS = 1.0
_METRICS_BATCH = 500


@dataclass(frozen=True)
class Container:
    """`argv` of `image` with `base` as its /opt/ml; its output goes to one log stream."""

    image: Image
    argv: tuple[str, ...]
    base: Path
    environment: Mapping[str, str]
    log_group: str
    log_stream: str
    limits: Limits
    isolated: bool = False
    metrics: tuple[Mapping[str, str], ...] = ()
    dimensions: tuple[Mapping[str, str], ...] = field(default=())


def run_container(plane: Plane, container: Container, stop: Stop) -> tuple[Outcome, list[dict[str, Any]]]:
    """Run it to its end. Returns how it ended and FinalMetricDataList."""
    stream = LogStream(partial(plane.clients.put_log, container.log_group, container.log_stream))
    scanner = MetricScanner(container.metrics)

    def take(line: str) -> None:
        stream.write(line)
        scanner.scan(line)

    process = Process(build_command(plane, container), take)
    ended = threading.Event()
    publisher = threading.Thread(target=_publish, args=(plane.clients, scanner, container, ended))
    publisher.start()
    try:
        outcome = process.wait(stop, container.limits)
    finally:
        process.close()
        ended.set()
        publisher.join()
        stream.close()
    return outcome, scanner.final_values()


def build_command(plane: Plane, container: Container) -> Command:
    """A container's process: /opt/ml is mounted where the machine allows it, else paths are replaced."""
    argv = list(container.argv)
    environment = base_environment(plane.config, isolated=container.isolated)
    if container.image.python:  # so that `python3` in entrypoints and scripts is the image's
        environment["PATH"] = f"{Path(container.image.python).parent}:{environment.get('PATH', '')}"
    environment |= {**container.image.environment, **container.environment}
    if can_mount():
        environment["SAGEMAKER_BASE_DIR"] = BASE
        hosts = container.base.with_name("hosts")
        hosts.write_text(f"{Path('/etc/hosts').read_text()}\n127.0.0.1 {HOST}\n")
        return Command(argv, environment, container.base, {BASE: container.base, "/etc/hosts": hosts})
    names = list(environment)
    moved = dict(zip(names, relocate(environment.values(), container.base), strict=True))
    moved["SAGEMAKER_BASE_DIR"] = str(container.base)
    return Command(relocate(argv, container.base), moved, container.base)


def _publish(clients: Clients, scanner: MetricScanner, container: Container, ended: threading.Event) -> None:
    last = False
    while not last:
        last = ended.wait(_METRICS_SECONDS)
        data = [{**entry, "Dimensions": list(container.dimensions)} for entry in scanner.take_unsent()]
        for start in range(0, len(data), _METRICS_BATCH):
            clients.publish_metric(METRICS_NAMESPACE, data[start : start + _METRICS_BATCH])
