"""What one invocation costs the local SageMaker itself, beside the model: processor time in its own process.

    python benchmarks/invocation.py [--requests 1000]        writes invocation.json

The worker answers at once, so what is measured is ours: the HTTP client alone (against httpx with the same
request), a whole invocation (routing, retries, metrics), and one that is captured (record, base64, fsync each
second). Processor time, because other programs on the machine disturb it little.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from endpoint import describe_machine

from sagemaker_local.endpoints import CaptureSpec, Cloud, EndpointFleet, EndpointSpec, VariantSpec
from sagemaker_local.endpoints.connection import WorkerClient

RESULTS = Path(__file__).with_suffix(".json")
PROGRAM = Path(__file__).parents[1] / "tests" / "unit" / "endpoints" / "container_program.py"
BODY = bytes(3000)  # as a picture of 32 x 32
HEADERS = {"content-type": "image/png", "accept": "*/*"}


async def measure(ask: Callable[[], Awaitable[Any]], requests: int) -> float:
    """Milliseconds of processor time for each request, after a warm-up."""
    for _ in range(50):
        await ask()
    before = time.process_time()
    for _ in range(requests):
        await ask()
    return round((time.process_time() - before) / requests * 1000, 4)


async def measure_fleet(requests: int, capture: CaptureSpec | None) -> float:
    """A whole invocation through the fleet."""
    nowhere = Cloud(*[lambda *_: None] * 4)  # type: ignore[arg-type,list-item]
    with tempfile.TemporaryDirectory() as folder:
        fleet = EndpointFleet(nowhere, Path(folder))
        await fleet.open()
        variant = VariantSpec("AllTraffic", (sys.executable, str(PROGRAM)))
        await fleet.start(EndpointSpec("bikes", (variant,), capture))
        found = await measure(lambda: fleet.invoke("bikes", BODY, HEADERS), requests)
        await fleet.close()
        return found


async def measure_clients(requests: int) -> dict[str, float]:
    """The client to workers, and httpx in its place."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM)),
            env={"SAGEMAKER_BASE_DIR": folder, "SAGEMAKER_BIND_TO_PORT": "18923"},
            stdout=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(3)
        ours = WorkerClient(18923, 10**6)
        found = {
            "client": await measure(lambda: ours.request("POST", "/invocations", HEADERS, BODY), requests)
        }
        async with httpx.AsyncClient(base_url="http://127.0.0.1:18923") as theirs:
            ask = lambda: theirs.post("/invocations", content=BODY, headers=HEADERS)  # noqa: E731
            found["httpx"] = await measure(ask, requests)
        ours.close()
        process.kill()
        await process.wait()
        return found


async def measure_all(requests: int) -> dict[str, float]:
    """Everything, in ms of processor time for each request."""
    found = await measure_clients(requests)
    found["invocation"] = await measure_fleet(requests, None)
    found["invocation_captured"] = await measure_fleet(requests, CaptureSpec("s3://bucket/capture"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    options = parser.parse_args()
    result = {"machine": describe_machine(), "requests": options.requests}
    result["processor_ms"] = asyncio.run(measure_all(options.requests))
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["processor_ms"], indent=2))


if __name__ == "__main__":
    main()
