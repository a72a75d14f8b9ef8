"""One worker: a process that serves one model over HTTP on a loopback port. SageMaker says instance."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from sagemaker_local.endpoints.connection import BadAnswer, ConnectionLost, Reply, WorkerClient
from sagemaker_local.endpoints.reaper import Reaper
from sagemaker_local.endpoints.spec import Limits, VariantSpec

# What a container gets of the environment around it: enough to run, no credentials, no settings.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH")
LONGEST_LINE = 256 * 1024  # bytes, as CloudWatch Logs takes them


class WorkerFailed(Exception):
    """The worker ended or does not get ready; `ended` tells the two apart."""

    def __init__(self, reason: str, ended: bool) -> None:
        super().__init__(reason)
        self.ended = ended


class Worker:
    """A process from its start to its end. `write_log(stream, line)` gets what it prints."""

    def __init__(
        self,
        variant: VariantSpec,
        folder: Path,
        model_dir: Path | None,
        limits: Limits,
        reaper: Reaper,
        write_log: Callable[[str, str], None],
    ) -> None:
        self.instance_id = f"i-{secrets.token_hex(9)[:17]}"
        self.in_flight = 0
        self.doubtful = asyncio.Event()  # a connection was lost; no new requests before /ping answers again
        self._variant = variant
        self._folder = folder / self.instance_id
        self._model_dir = model_dir
        self._limits = limits
        self._reaper = reaper
        self._write_log = write_log
        self._last_lines: deque[str] = deque(maxlen=5)
        self._idle = asyncio.Event()
        self._idle.set()
        self._process: asyncio.subprocess.Process | None = None
        self._stopped = False

    async def start(self) -> None:
        """Start the process and wait until /ping answers 200. Raises WorkerFailed (and leaves no process)."""
        try:
            await self._spawn()
            await self._wait_until_ready()
        except BaseException:
            await self.stop(grace=0)
            raise

    async def watch(self, trusted: Callable[[], None]) -> str:
        """Wait until the process ends or no longer answers /ping; says which. `trusted` ends doubts."""
        failed = 0
        while failed < self._limits.failed_pings:
            await self._wait_for_exit_or_doubt()
            if self._exit.done():
                return _describe_exit(self._exit.result(), self._last_lines)
            failed = 0 if await self._ping() else failed + 1
            if failed == 0 and self.doubtful.is_set():
                self.doubtful.clear()
                trusted()
        return f"it did not answer /ping {failed} times in a row"

    async def invoke(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """POST /invocations. Raises ConnectionLost, BadAnswer."""
        self.in_flight += 1
        self._idle.clear()
        try:
            return await self._client.request("POST", "/invocations", headers, body)
        except ConnectionLost:
            self.doubtful.set()
            raise
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._idle.set()

    async def drain(self) -> None:
        """Wait until the requests in flight are answered, at most as long as an invocation may take."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._limits.invocation_s)

    async def stop(self, grace: float | None = None) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds (default: the documented 30); removes its folder.

        Called again, it does what a cancelled call has left.
        """
        if self._process is None or self._stopped:
            return
        self._client.close()
        grace = self._limits.stop_s if grace is None else grace
        if grace and not self._exit.done():
            self._signal(signal.SIGTERM)
            await asyncio.wait([self._exit], timeout=grace)
        self._signal(signal.SIGKILL)  # the whole group, so that no grandchild outlives it
        await asyncio.wait([self._exit])  # who is cancelled here does not cancel what others wait for
        self._reaper.remove(self.pid)
        await asyncio.wait([self._reading], timeout=2)
        self._reading.cancel()
        # A grandchild that left the group may hold the pipe open, and asyncio has no public way to close it.
        self._process._transport.close()  # type: ignore[attr-defined]
        shutil.rmtree(self._folder, ignore_errors=True)
        self._stopped = True

    @property
    def pid(self) -> int:
        """The process, which leads a group of the same number."""
        assert self._process is not None
        return self._process.pid

    async def _wait_for_exit_or_doubt(self) -> None:
        doubt = asyncio.ensure_future(self.doubtful.wait())
        # A doubt that a ping did not clear is looked at again soon, but not at once.
        pause = 0.1 if self.doubtful.is_set() else self._limits.ping_interval_s
        waiting = {self._exit} if self.doubtful.is_set() else {self._exit, doubt}
        await asyncio.wait(waiting, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        doubt.cancel()

    async def _spawn(self) -> None:
        self._folder.mkdir(parents=True)
        if self._model_dir is not None:
            (self._folder / "model").symlink_to(self._model_dir, target_is_directory=True)
        port = _find_port()
        self._client = WorkerClient(port, self._limits.payload_bytes)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._variant.argv,
                cwd=self._folder,
                env=build_environment(self._variant.environment, self._folder, port),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise WorkerFailed(f"the program cannot be started: {error}", ended=True) from error
        self._reaper.add(self._process.pid)
        assert self._process.stdout is not None
        self._exit = asyncio.ensure_future(self._process.wait())
        self._reading = asyncio.ensure_future(self._read_output(self._process.stdout))

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._limits.startup_s
        pause = 0.02
        while not await self._ping():
            done, _ = await asyncio.wait([self._exit], timeout=pause)
            if done:
                await asyncio.wait([self._reading], timeout=1)
                raise WorkerFailed(_describe_exit(self._exit.result(), self._last_lines), ended=True)
            if time.monotonic() > deadline:
                raise WorkerFailed(
                    f"/ping did not answer 200 within {self._limits.startup_s:g} s", ended=False
                )
            pause = min(pause * 1.5, 0.5)

    async def _ping(self) -> bool:
        try:
            async with asyncio.timeout(self._limits.ping_timeout_s):
                reply = await self._client.request("GET", "/ping", {})
        except (TimeoutError, ConnectionLost, BadAnswer):
            return False
        return reply.status == 200

    async def _read_output(self, output: asyncio.StreamReader) -> None:
        rest = b""
        while chunk := await output.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._print(line)
        if rest:
            self._print(rest)

    def _print(self, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode(errors="replace").rstrip()
        if text:
            self._last_lines.append(text)
            self._write_log(f"{self._variant.name}/{self.instance_id}", text)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def build_environment(requested: Mapping[str, str], base_dir: Path, port: int) -> dict[str, str]:
    """A container's environment: little of ours, what the model asks for, what SageMaker decides."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {"PYTHONUNBUFFERED": "1", **requested}
    return environment | {"SAGEMAKER_BASE_DIR": str(base_dir), "SAGEMAKER_BIND_TO_PORT": str(port)}


def _find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _describe_exit(code: int, last_lines: deque[str]) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"exited with code {code}"
    said = f"; it last said: {last_lines[-1][:300]}" if last_lines else ""
    return f"the program {how}{said}"
