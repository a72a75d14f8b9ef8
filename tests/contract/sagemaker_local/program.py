"""SageMaker beside ministack on one loopback port: `python program.py STATE_DIR [CORES]`; prints the port.

The local cloud's gateway does the same and more; here only what these tests need, so that they test one part.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from sagemaker_local import create_app
from sagemaker_local.config import Config
from sagemaker_local.emulator.seats import register
from sagemaker_local.images import Image

KEY, SECRET = "000000000000", "test"
ROLE = "arn:aws:iam::000000000000:role/sagemaker"
CONTAINERS = Path(__file__).parent / "containers"
TOY, SCRIPT = "toy:1", "pytorch-training:2.8-cpu-py312"
REGISTRY = r"\d+\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com"
_SCOPE = re.compile(rb"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/")


def make_config(state_dir: Path, port: int, cores: int) -> Config:
    toy = tuple((sys.executable, str(CONTAINERS / f"{role}.py")) for role in ("train", "serve", "process"))
    return Config(
        state_dir=state_dir,
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key_id=KEY,
        secret_access_key=SECRET,
        images=(
            Image(rf"{REGISTRY}/toy:.*", *toy, python=sys.executable),
            Image(rf"{REGISTRY}/pytorch-training:.*", python=sys.executable, script_mode=True),
        ),
        cores=cores,
        stop_seconds=2.0,
    )


def main(state_dir: Path, cores: int) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    objects = {"S3_PERSIST": "1", "S3_DATA_DIR": str(state_dir / "s3"), "PERSIST_STATE": "0"}
    os.environ |= {"GATEWAY_PORT": str(port), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", **objects}
    from ministack.app import app as aws

    sagemaker = create_app(make_config(state_dir, port, cores))
    register(sagemaker)

    async def route(scope, receive, send):
        headers = dict(scope.get("headers", ()))
        signed = _SCOPE.search(headers.get(b"authorization", b""))
        here = signed is not None and signed[1] in (b"sagemaker", b"application-autoscaling")
        await (sagemaker if here else aws)(scope, receive, send)

    asyncio.run(_serve(route, listener, aws, sagemaker))


class _Server(uvicorn.Server):
    """Leaves the signals alone: SageMaker still needs the port while it stops."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


async def _serve(route, listener, aws, sagemaker) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    server = _Server(uvicorn.Config(route, lifespan="off", log_level="error", access_log=False))
    async with _lifespan(aws, end=False):
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        async with _lifespan(sagemaker, end=True):
            print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
            await stopped.wait()
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def _lifespan(application, end):
    inbox, outbox = asyncio.Queue(), asyncio.Queue()
    life = asyncio.create_task(
        application({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put)
    )
    await inbox.put({"type": "lifespan.startup"})
    answer = await outbox.get()
    assert answer["type"] == "lifespan.startup.complete", answer
    yield
    if end:
        await inbox.put({"type": "lifespan.shutdown"})
        await outbox.get()
    life.cancel()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2)
