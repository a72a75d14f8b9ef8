"""`python -m scones.container serve`: serve the model below SAGEMAKER_BASE_DIR (default /opt/ml) over HTTP.

Environment, as SageMaker's inference toolkit names it: SAGEMAKER_BIND_TO_PORT (8080),
SAGEMAKER_MODEL_SERVER_WORKERS (threads; default: as many as cores), SAGEMAKER_MODEL_SERVER_TIMEOUT (60 s).
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from PIL import Image

from scones.container.application import ServingApplication
from scones.container.pool import InferencePool, Predictor
from scones.container.prediction import load_predictor
from scones.errors import ModelError, SconesError, UsageError

logger = logging.getLogger(__name__)

OPT_ML = Path("/opt/ml")
# SageMaker kills 30 s after SIGTERM; what has not ended by then would be cut off without an answer.
DRAIN_SECONDS = 25
# Requests in flight for each thread: at a few milliseconds an image, the last one waits for less than a
# second.
QUEUE_PER_THREAD = 64


@dataclass(frozen=True)
class ServingOptions:
    """How to serve: the folder of the unpacked model, the socket, threads and the longest time in seconds."""

    model_dir: Path
    host: str
    port: int
    threads: int
    timeout: float


def read_options(environment: Mapping[str, str]) -> ServingOptions:
    """Options from SageMaker's variables; raises UsageError for values that are no whole numbers in range.

    Inside a real container SageMaker calls over the network, so all interfaces are bound. SageMaker names no
    base folder there: where one is named, even /opt/ml, this is a process on somebody's machine, and only
    loopback is bound.
    """
    base = environment.get("SAGEMAKER_BASE_DIR")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ServingOptions(
        model_dir=Path(base or OPT_ML) / "model",
        host="127.0.0.1" if base else "0.0.0.0",
        port=_read_number(environment, "SAGEMAKER_BIND_TO_PORT", 8080, 65535),
        threads=_read_number(environment, "SAGEMAKER_MODEL_SERVER_WORKERS", cores, 256),
        timeout=_read_number(environment, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 60, 3600),
    )


def build_application(predictor: Predictor, threads: int, timeout: float = 60) -> ServingApplication:
    """The application over a model that has answered once; raises ModelError when it does not."""
    pool = InferencePool(predictor, threads, QUEUE_PER_THREAD * threads, timeout)
    probe = _draw_probe()
    try:
        asyncio.run(_warm(pool, probe, threads))
    except SconesError as error:
        pool.close()
        raise ModelError(f"The model does not answer a grey image: {error}") from error
    return ServingApplication(pool, probe, threads)


def main() -> int:
    """Load, warm up and serve until SIGTERM; 0 after a clean stop, 1 when the model cannot be served."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    try:
        options = read_options(os.environ)
        start = time.perf_counter()
        application = build_application(load_predictor(options.model_dir), options.threads, options.timeout)
    except SconesError as error:
        print(f"The model cannot be served. {error}", file=sys.stderr, flush=True)
        return error.exit_code
    logger.info("model ready after %.2f s; %d threads", time.perf_counter() - start, options.threads)
    _serve(application, options)
    application.pool.close()
    return 0


def _serve(application: ServingApplication, options: ServingOptions) -> None:
    # uvicorn raises the signal again once all is answered: with this handler below its own, that is a
    # clean end.
    signal.signal(signal.SIGTERM, lambda *_: None)
    uvicorn.run(
        application,
        host=options.host,
        port=options.port,
        http="httptools",
        loop="auto",  # uvloop where there is one: it sends the head and the body of an answer at once
        lifespan="off",
        ws="none",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,  # longer than SageMaker's 60 s, so that the caller closes first
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


async def _warm(pool: InferencePool, probe: bytes, threads: int) -> None:
    await asyncio.gather(*(pool.predict(probe) for _ in range(threads)))


def _draw_probe() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (127, 127, 127)).save(buffer, "PNG")
    return buffer.getvalue()


def _read_number(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isdigit() and 1 <= int(text) <= most):
        raise UsageError(f"{name} is {text!r}; it must be a whole number from 1 to {most}.")
    return int(text)
