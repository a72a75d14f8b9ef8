"""A batch transform job: a model served for the time of the job, asked about every object of a prefix."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_local.endpoints import EndpointError
from sagemaker_local.endpoints import Limits as EndpointLimits
from sagemaker_local.endpoints.archive import unpack_model
from sagemaker_local.errors import JobError
from sagemaker_local.images import find_image
from sagemaker_local.jobs.container import Container, build_command
from sagemaker_local.jobs.inputs import list_source
from sagemaker_local.jobs.logs import LogStream
from sagemaker_local.jobs.process import Limits, Process
from sagemaker_local.jobs.records import assemble, split_records
from sagemaker_local.jobs.server import Server, find_port, with_port
from sagemaker_local.store import Record

if TYPE_CHECKING:
    from sagemaker_local.jobs.queue import Stop
    from sagemaker_local.plane import Plane

KIND = "transform-job"
LOG_GROUP = "/aws/sagemaker/TransformJobs"
_STOP_SECONDS = 30.0
_MEGABYTE = 1024**2


@dataclass(frozen=True)
class Plan:
    """How objects become requests; the request first, then the container's own wish, then AWS's defaults."""

    split: str
    assemble_with: str
    strategy: str
    most_bytes: int
    concurrent: int
    timeout: float
    retries: int
    headers: dict[str, str]
    compressed: bool


def run_transform(plane: Plane, record: Record, folder: Path, stop: Stop) -> None:
    """Run the job of `record` to its end. Raises JobError when it fails."""
    base = folder / "ml"
    if uri := record["Container"].get("ModelDataUrl"):
        _fetch_model(plane, uri, folder / "model.tar.gz", base / "model")
    else:
        (base / "model").mkdir(parents=True)
    plane.store.change(
        KIND, record["TransformJobName"], lambda kept: kept.update(TransformStartTime=time.time())
    )
    if not stop.is_set():
        _serve_and_transform(plane, record, base, stop)
    if stop.shutdown:
        raise JobError("InternalServerError: SageMaker was shut down while the job ran.")
    end_transform(plane, record["TransformJobName"], "Stopped" if stop.is_set() else "Completed")


def _fetch_model(plane: Plane, uri: str, archive: Path, target: Path) -> None:
    plane.clients.download(uri, archive)
    try:
        unpack_model(archive, target, uri, EndpointLimits().model_bytes)
    except EndpointError as error:
        raise JobError(f"ClientError: {error.reason}") from error


def _serve_and_transform(plane: Plane, record: Record, base: Path, stop: Stop) -> None:
    container = _describe_container(plane, record, base)
    stream = LogStream(partial(plane.clients.put_log, container.log_group, container.log_stream))
    port = find_port()
    process = Process(with_port(build_command(plane, container), port), stream.write)
    try:
        server = Server(process, port)
        server.wait_until_ready(stop)
        _transform_all(plane, record, server, base.parent, stop)
    finally:
        process.stop(stop.limit(_STOP_SECONDS))
        process.close()
        stream.close()


def _describe_container(plane: Plane, record: Record, base: Path) -> Container:
    container = record["Container"]
    image = find_image(plane.config.images, container["Image"])
    assert image.serve is not None
    own = {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(record.get("MaxPayloadInMB", 6)),
        "SAGEMAKER_BATCH_STRATEGY": _upper(record.get("BatchStrategy", "MultiRecord")),
        "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(record.get("MaxConcurrentTransforms", 1)),
    }
    return Container(
        image=image,
        argv=image.serve,
        base=base,
        environment={**container.get("Environment", {}), **own, **record.get("Environment", {})},
        isolated=record["Isolated"],
        log_group=LOG_GROUP,
        log_stream=f"{record['TransformJobName']}/i-{int(time.time())}",
        limits=Limits(float("inf"), _STOP_SECONDS),
    )


def _upper(strategy: str) -> str:
    return {"SingleRecord": "SINGLE_RECORD", "MultiRecord": "MULTI_RECORD"}[strategy]


def _make_plan(record: Record, wishes: dict[str, Any]) -> Plan:
    source, output = record["TransformInput"], record["TransformOutput"]
    client = record.get("ModelClientConfig", {})
    strategy = record.get("BatchStrategy") or wishes.get("BatchStrategy", "MULTI_RECORD")
    headers = {"Content-Type": source.get("ContentType", ""), "Accept": output.get("Accept", "")}
    return Plan(
        split=source.get("SplitType", "None"),
        assemble_with=output.get("AssembleWith", "None"),
        strategy="SingleRecord" if strategy.lower().startswith("single") else "MultiRecord",
        most_bytes=record.get("MaxPayloadInMB", wishes.get("MaxPayloadInMB", 6)) * _MEGABYTE,
        concurrent=record.get("MaxConcurrentTransforms") or wishes.get("MaxConcurrentTransforms", 1),
        timeout=client.get("InvocationsTimeoutInSeconds", 600),
        retries=client.get("InvocationsMaxRetries", 3),
        headers={name: value for name, value in headers.items() if value},
        compressed=source.get("CompressionType") == "Gzip",
    )


def _transform_all(plane: Plane, record: Record, server: Server, folder: Path, stop: Stop) -> None:
    plan = _make_plan(record, server.read_parameters())
    source = record["TransformInput"]["DataSource"]["S3DataSource"]
    target = record["TransformOutput"]["S3OutputPath"].rstrip("/")
    objects = list_source(plane.clients, source, folder, plane.config.free_bytes)
    with ThreadPoolExecutor(max(1, plan.concurrent)) as pool:

        def transform(item: tuple[int, tuple[str, Path]]) -> None:
            number, (uri, name) = item
            if not stop.is_set():
                path = folder / f"object-{number}"
                plane.clients.download(uri, path)
                path.write_bytes(assemble(list(_ask(server, plan, path, uri, stop)), plan.assemble_with))
                plane.clients.upload(path, f"{target}/{name.as_posix()}.out")
                path.unlink()

        for _ in pool.map(transform, enumerate(objects)):
            pass


def _ask(server: Server, plan: Plan, path: Path, uri: str, stop: threading.Event) -> Iterator[bytes]:
    data = path.read_bytes()
    try:
        data = gzip.decompress(data) if plan.compressed else data
    except OSError as error:
        raise JobError(f"ClientError: {uri} is not gzip: {error}") from error
    for request in split_records(data, plan.split, plan.strategy, plan.most_bytes):
        if plan.most_bytes and len(request) > plan.most_bytes:
            raise JobError(
                f"ClientError: {uri} has a record of {len(request)} bytes, more than MaxPayloadInMB."
            )
        if not stop.is_set():
            yield _ask_once(server, plan, request, uri)


def _ask_once(server: Server, plan: Plan, request: bytes, uri: str) -> bytes:
    """One answer; server errors and time-outs are tried again."""
    for attempt in range(plan.retries + 1):
        try:
            status, body = server.request("POST", "/invocations", request, plan.headers, plan.timeout)
        except OSError as error:
            status, body = 0, str(error).encode()
        if status == 200:
            return body
        if 400 <= status < 500 or attempt == plan.retries:
            break
    text = body.decode(errors="replace")
    kind = "ClientError" if 400 <= status < 500 else "AlgorithmError"
    raise JobError(f"{kind}: {uri}: bad HTTP status received from algorithm: {status}: {text}")


def end_transform(plane: Plane, name: str, status: str, reason: str = "") -> None:
    """The last change of a batch transform job."""

    def edit(record: Record) -> None:
        record.update(TransformJobStatus=status, TransformEndTime=time.time())
        if reason:
            record["FailureReason"] = reason[:1024]

    plane.store.change(KIND, name, edit)
