"""Applications that the tests mount into a cloud."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

STUBBORN = f"""
import signal, time
for number in ({int(signal.SIGTERM)}, {int(signal.SIGINT)}, {int(signal.SIGHUP)}):
    signal.signal(number, signal.SIG_IGN)
time.sleep(3600)
"""


def create_parent(cloud: Any) -> Any:
    """Starts a process that ends on SIGKILL only, and writes its number to the file `child`."""
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
    (cloud.places.root / "child").write_text(str(child.pid))
    return create_echo(cloud)


def create_echo(cloud: Any) -> Any:
    """Answers with what it got, as JSON."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": message["type"] + ".complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = (await receive())["body"]
        told = {"path": scope["path"], "bytes": len(body), "endpoint_url": cloud.endpoint_url}
        kind = [(b"content-type", b"application/x-amz-json-1.1")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    return echo
