"""ASGI's lifespan protocol from the server's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from local_cloud.errors import StartFailed
from local_cloud.requests import Application, Message, Receive, Scope, Send


@asynccontextmanager
async def run_lifespan(application: Application, shutdown: bool = True) -> AsyncIterator[None]:
    """Start `application`, and stop it at the end (with `shutdown` false, just abandon it).

    Raises StartFailed when it refuses to start.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
    task = asyncio.create_task(_run(application, scope, inbox.get, outbox.put))
    try:
        await inbox.put({"type": "lifespan.startup"})
        await _await_answer(task, outbox)
        yield
        if shutdown:
            await inbox.put({"type": "lifespan.shutdown"})
            await _await_answer(task, outbox)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run(application: Application, scope: Scope, receive: Receive, send: Send) -> None:
    await application(scope, receive, send)


async def _await_answer(task: asyncio.Task[None], outbox: asyncio.Queue[Message]) -> None:
    answer = asyncio.create_task(outbox.get())
    await asyncio.wait({task, answer}, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        task.result()  # raises what ended it
        return
    if answer.result()["type"].endswith(".failed"):
        raise StartFailed(answer.result().get("message") or "A part of the local cloud did not start.")
