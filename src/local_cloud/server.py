"""Puts the local cloud together in this process and serves it until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import uvicorn

from local_cloud import emulator, lambdas, states, tables
from local_cloud.cloud import HOST, Cloud, Places, read_credentials
from local_cloud.durability import Durability
from local_cloud.errors import StartFailed
from local_cloud.gateway import Gateway
from local_cloud.lambdas.service import Service
from local_cloud.lifecycle import Running
from local_cloud.lifespan import run_lifespan
from local_cloud.requests import Application

Tell = Callable[[dict[str, Any]], None]


class _HttpServer(uvicorn.Server):
    """uvicorn, with the signals left to us: mounted applications still need it while they stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(places: Places, region: str, mounts: Mapping[str, str], ports: Sequence[int], tell: Tell) -> None:
    """Serve the cloud of `places` until SIGTERM or SIGINT.

    `mounts` maps a SigV4 service name to `module:factory`; of `ports` the first free one is taken (0: any);
    `tell` gets the fields of Running when requests are answered. Raises CorruptState or StartFailed; nothing
    was changed then.
    """
    with closing(_listen(ports)) as listener, ExitStack() as stack:
        cloud = Cloud(places, listener.getsockname()[1], read_credentials(places), region)
        emulator.configure(cloud)
        durability = Durability(cloud)
        stack.callback(durability.close)
        # Before the state is restored: with it, event sources begin to call functions.
        states.install()
        tables.install()
        functions = lambdas.install(places.home, cloud.endpoint_url)
        stack.callback(functions.close)
        durability.restore()
        emulator.trust_loopback()
        emulator.remember_policies()
        emulator.seed_account(cloud)
        serving = _serve(cloud, listener, _load_mounts(cloud, mounts), durability, tell)
        asyncio.run(_close_after(serving, functions))


async def _close_after(serving: Awaitable[None], functions: Service) -> None:
    """End what handlers still run when nobody is served any more: the event loop waits for their threads."""
    try:
        await serving
    finally:
        functions.close()


async def _serve(
    cloud: Cloud, listener: socket.socket, mounts: dict[str, Application], durability: Durability, tell: Tell
) -> None:
    from ministack.app import app as aws

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    # ministack's own shutdown only looks for services that are not here.
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(run_lifespan(aws, shutdown=False))
        await stack.enter_async_context(_serve_http(Gateway(aws, mounts, durability), listener))
        for application in {id(mount): mount for mount in mounts.values()}.values():
            await stack.enter_async_context(run_lifespan(application))
        sweeping = asyncio.create_task(durability.sweep_forever())
        stack.callback(sweeping.cancel)
        tell(_announce(cloud))
        await stopped.wait()


@asynccontextmanager
async def _serve_http(gateway: Gateway, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(
        gateway,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ws="none",
    )
    server = _HttpServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _listen(ports: Sequence[int]) -> socket.socket:
    """A socket on loopback at the first free port. Raises StartFailed."""
    for port in ports:
        listener = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only when told TCP
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(1024)
            return listener
        except OSError as error:
            listener.close()
            reason = error.strerror
    raise StartFailed(
        f"Port {port} cannot be used: {reason}.", "Give another --port, or none to have one chosen."
    )


def _load_mounts(cloud: Cloud, mounts: Mapping[str, str]) -> dict[str, Application]:
    made: dict[str, Application] = {}
    for factory in sorted(set(mounts.values())):
        module, _, name = factory.partition(":")
        made[factory] = getattr(import_module(module), name)(cloud)
    return {service: made[factory] for service, factory in mounts.items()}


def _announce(cloud: Cloud) -> dict[str, Any]:
    running = Running(
        endpoint_url=cloud.endpoint_url,
        port=cloud.port,
        region=cloud.region,
        account_id=cloud.account_id,
        server_pid=os.getpid(),
        keeper_pid=os.getppid(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    scratch = cloud.places.running.with_suffix(".tmp")
    scratch.write_text(json.dumps(asdict(running)), encoding="utf-8")
    scratch.replace(cloud.places.running)
    return asdict(running)
