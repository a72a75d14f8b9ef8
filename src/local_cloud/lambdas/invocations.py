"""One invocation in one environment, and what AWS would answer.

Error payloads as Lambda's: the handler's own errors come from the runtime client; a function that runs out
of time (`Sandbox.Timedout`), whose process ends (`Runtime.ExitError`), or that answers too much
(`Function.ResponseSizeTooLarge`) is reported by the service.
"""

from __future__ import annotations

import json
import math
import time
import uuid
import zlib
from dataclasses import dataclass
from typing import Any

from local_cloud.lambdas.environments import Environment
from local_cloud.lambdas.runtime_api import MAX_PAYLOAD, PREFIX, Request, RuntimeGone


@dataclass(frozen=True)
class Invocation:
    """A call: `arn` names the function as the caller did, `depth` is 1 unless a handler calls."""

    event: bytes  # JSON
    arn: str
    depth: int
    request_id: str


@dataclass(frozen=True)
class Report:
    """What came of it; `payload` is JSON, times are in milliseconds, memory in MiB."""

    payload: bytes
    is_error: bool
    output: str
    duration: float
    init: float | None
    peak_memory: int
    status: str = ""  # of the REPORT line, when the service itself ended the invocation


def run(environment: Environment, invocation: Invocation) -> Report:
    """Invoke the environment's function; an environment that cannot be used again is marked unhealthy."""
    began = time.monotonic()
    try:
        failure = environment.await_ready()
        began = time.monotonic()
        if failure is None:
            deadline = began + environment.function.timeout
            answer = environment.invoke(invocation.event, _headers(environment, invocation), deadline)
        else:
            answer = failure
    except TimeoutError:
        return _end(environment, invocation, began, *_timed_out(environment, invocation))
    except RuntimeGone:
        return _end(environment, invocation, began, *_exited(environment, invocation))
    return _read(environment, invocation, began, answer)


def _headers(environment: Environment, invocation: Invocation) -> dict[str, str]:
    deadline = int((time.time() + environment.function.timeout) * 1000)
    return {
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(deadline),
        "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
        "Lambda-Runtime-Trace-Id": trace_id(invocation),
    }


def trace_id(invocation: Invocation) -> str:
    """An X-Ray trace header; the SDK sends it along with every call of the handler.

    Its lineage is how AWS detects recursive loops, and how a nested invocation is told from others here.
    """
    root = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
    function = zlib.crc32(invocation.arn.encode())
    return f"Root={root};Parent={uuid.uuid4().hex[:16]};Sampled=0;Lineage=1:{function:08x}:{invocation.depth}"


def read_depth(trace: str) -> int:
    """The number of handlers above a call with this trace header; 0 without a lineage."""
    lineage = dict(part.partition("=")[::2] for part in trace.split(";")).get("Lineage", "")
    depth = lineage.rpartition(":")[2]
    return int(depth) if depth.isdigit() else 0


def _read(environment: Environment, invocation: Invocation, began: float, answer: Request) -> Report:
    if answer.size > MAX_PAYLOAD:
        environment.healthy = False
        message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
        return _end(environment, invocation, began, _error("Function.ResponseSizeTooLarge", message), "", "")
    if answer.path == f"{PREFIX}/init/error":
        environment.healthy = False
    is_error = answer.path.endswith("/error")
    if is_error and _error_type(answer.body) == "MemoryError":
        return _end(environment, invocation, began, *_out_of_memory(environment, invocation))
    return _end(environment, invocation, began, answer.body, "", "", is_error=is_error)


def _end(
    environment: Environment,
    invocation: Invocation,
    began: float,
    payload: bytes,
    note: str,
    status: str,
    *,
    is_error: bool = True,
) -> Report:
    """The report; `note` is a line that the service adds to the output."""
    init, environment.init_ms = environment.init_ms, None
    return Report(
        payload=payload,
        is_error=is_error,
        output=environment.output.take().replace("\r", "\n") + note,
        duration=(time.monotonic() - began) * 1000,
        init=init,
        peak_memory=environment.peak_memory(),
        status=status,
    )


def _timed_out(environment: Environment, invocation: Invocation) -> tuple[bytes, str, str]:
    environment.interrupt()
    what = f"Task timed out after {environment.function.timeout:.2f} seconds"
    note = f"{_timestamp()} {invocation.request_id} {what}\n"
    payload = _error("Sandbox.Timedout", f"RequestId: {invocation.request_id} Error: {what}")
    return payload, note, "Status: timeout"


def _exited(environment: Environment, invocation: Invocation) -> tuple[bytes, str, str]:
    environment.healthy = False
    message = f"RequestId: {invocation.request_id} Error: {environment.exit_reason()}"
    status = "Status: error\tError Type: Runtime.ExitError"
    return _error("Runtime.ExitError", message), f"{message}\nRuntime.ExitError\n", status


def _out_of_memory(environment: Environment, invocation: Invocation) -> tuple[bytes, str, str]:
    """AWS kills the process where the memory limit here makes an allocation fail."""
    environment.interrupt()
    message = f"RequestId: {invocation.request_id} Error: Runtime exited with error: signal: killed"
    status = "Status: error\tError Type: Runtime.OutOfMemory"
    return _error("Runtime.ExitError", message), f"{message}\nRuntime.ExitError\n", status


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def _error_type(body: bytes) -> Any:
    try:
        return json.loads(body).get("errorType")
    except (ValueError, AttributeError):
        return None


def _timestamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def log_lines(environment: Environment, invocation: Invocation, report: Report) -> list[str]:
    """The invocation's lines in CloudWatch Logs, in Lambda's form."""
    request = f"RequestId: {invocation.request_id}"
    billed = math.ceil(report.duration + (report.init or 0))
    fields = [
        f"REPORT {request}",
        f"Duration: {report.duration:.2f} ms",
        f"Billed Duration: {billed} ms",
        f"Memory Size: {environment.function.memory} MB",
        f"Max Memory Used: {report.peak_memory} MB",
        *([] if report.init is None else [f"Init Duration: {report.init:.2f} ms"]),
        *filter(None, [report.status]),
    ]
    start = f"START {request} Version: {environment.function.version}"
    return [start, *report.output.splitlines(), f"END {request}", "\t".join(fields)]
