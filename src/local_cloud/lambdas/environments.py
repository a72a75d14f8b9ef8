"""Execution environments: one process each, that runs one function's handler under AWS's runtime client.

An environment has a clean process environment, its own session, its own temporary directory, a memory
limit, and role credentials of its own. It dies with the local cloud: the kernel kills its whole process
group when the write end of its lifeline pipe closes, which it does however the local cloud ends.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local_cloud.lambdas.functions import Function
from local_cloud.lambdas.runtime_api import Output, Request, RuntimeApi

INIT_SECONDS = 10  # AWS's limit of the init phase
SLACK = 64 * 1024 * 1024  # private memory that is not resident (thread stacks, arenas) and AWS does not count
MIB = 1024 * 1024


@dataclass(frozen=True)
class Site:
    """Where an environment's process finds things on this machine."""

    python: Path
    search_path: tuple[str, ...]  # of modules: code, layers
    layers: tuple[Path, ...]
    endpoint_url: str
    place: Path  # where environments keep their temporary directories

    @property
    def code(self) -> str:
        return self.search_path[0]


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of the function's role."""

    access_key: str
    secret_key: str
    token: str


class Environment:
    """A process that can run one invocation of its function after another."""

    def __init__(
        self, function: Function, site: Site, credentials: Credentials, on_end: Callable[[], None]
    ) -> None:
        """Start the process; it initialises by itself, `await_ready` waits for it."""
        self.function = function
        self._on_end = on_end
        self.id = uuid.uuid4().hex
        self.log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{self.id}"
        self.healthy = True
        self.init_ms: float | None = None  # of the first invocation's REPORT line, then None
        self._asked = False
        self._ending = threading.Lock()
        self._home = site.place / self.id
        self._home.mkdir(parents=True)
        self._api = RuntimeApi()
        variables = process_variables(function, site, credentials, self)
        self._process, self.output, self._lifeline = _start(function, site, variables)

    @property
    def home(self) -> Path:
        """Its /tmp."""
        return self._home

    @property
    def runtime_api(self) -> str:
        return self._api.address

    def await_ready(self) -> Request | None:
        """Wait until the function has initialised; its error, if it could not.

        Raises:
            RuntimeGone, TimeoutError: as `RuntimeApi.await_runtime`.
        """
        if self._asked:
            self._api.await_next(self.output, time.monotonic() + INIT_SECONDS)
            return None
        began = time.monotonic()
        patience = max(INIT_SECONDS, self.function.timeout)
        failure = self._api.await_runtime(self.output, began + patience)
        self._asked, self.init_ms = True, (time.monotonic() - began) * 1000
        return failure

    def invoke(self, event: bytes, headers: dict[str, str], deadline: float) -> Request:
        """Run the handler once; raises like `RuntimeApi.exchange`."""
        return self._api.exchange(event, headers, self.output, deadline)

    def is_alive(self) -> bool:
        return self._peek() is None

    def _peek(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs.

        The process is left to be waited for: until then nobody else gets its number, nor its group's.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def peak_memory(self) -> int:
        """The largest resident size so far, in MiB; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0
        _, _, found = status.partition("VmHWM:")
        return int(found.split(maxsplit=1)[0]) // 1024 if found else 0

    def exit_reason(self) -> str:
        """How the process has ended, in AWS's words; waits a second for its end."""
        deadline = time.monotonic() + 1
        while (code := self._peek()) is None:
            if time.monotonic() > deadline:
                return "Runtime closed its connection"
            time.sleep(0.002)
        if code == 0:
            return "Runtime exited without providing a reason"
        how = f"exit status {code}" if code > 0 else f"signal: {SIGNAL_WORDS.get(-code, str(-code))}"
        return f"Runtime exited with error: {how}"

    def interrupt(self) -> None:
        """End the process and all it has started; for whoever waits for it, its runtime is then gone."""
        self.healthy = False
        with self._ending:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the process and all it has started, and remove its files; nobody may use it any more."""
        self.interrupt()
        with self._ending:
            self._process.wait()
        self._on_end()
        self._api.close()
        os.close(self.output.descriptor)
        os.close(self._lifeline)
        shutil.rmtree(self._home, ignore_errors=True)


# Go's words for signals, which AWS's messages use.
SIGNAL_WORDS: dict[int, str] = {
    signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "aborted", signal.SIGBUS: "bus error", signal.SIGILL: "illegal instruction",
}  # fmt: skip


def process_variables(
    function: Function, site: Site, credentials: Credentials, environment: Environment
) -> Mapping[str, str]:
    """All variables of the process: those that AWS reserves, and the function's own; nothing is inherited.

    Source: AWS Lambda developer guide, "Defined runtime environment variables".
    """
    own = dict(function.variables)
    temporary = str(environment.home)
    path = os.pathsep.join([*site.search_path, *filter(None, [own.get("PYTHONPATH")])])
    libraries = [f"{site.code}/lib", *(f"{layer}/lib" for layer in site.layers)]
    defaults = {"LANG": "en_US.UTF-8", "TZ": ":UTC", "AWS_ENDPOINT_URL": site.endpoint_url}
    reserved = {
        "_HANDLER": function.handler,
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_SESSION_TOKEN": credentials.token,
        "AWS_REGION": function.region,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": environment.log_stream,
        "AWS_LAMBDA_RUNTIME_API": environment.runtime_api,
        "LAMBDA_TASK_ROOT": site.code,
        "LAMBDA_RUNTIME_DIR": str(site.python.parent.parent),
        "PATH": os.pathsep.join(["/usr/local/bin", "/usr/bin", "/bin", *(f"{p}/bin" for p in site.layers)]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "HOME": temporary,  # else the SDK would read the configuration of whoever runs the local cloud
        "TMPDIR": temporary,
    }
    return {**defaults, **own, **reserved}


def _start(
    function: Function, site: Site, variables: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], Output, int]:
    """Start the runtime client; the process, its output, and the lifeline's write end."""
    lifeline, held = os.pipe()
    output, written = os.pipe()
    try:
        process = subprocess.Popen(
            [str(site.python), "-m", "awslambdaric", function.handler],
            cwd=site.code,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            pass_fds=(lifeline,),
            start_new_session=True,
        )
        _tie(process.pid, lifeline)
        _limit(process.pid, function)
    except OSError:
        os.close(held)
        os.close(output)
        raise
    finally:
        os.close(lifeline)
        os.close(written)
    return process, Output(output), held


def _limit(pid: int, function: Function) -> None:
    """Memory and file size limits of a process that has just started, on systems that can."""
    if not hasattr(resource, "prlimit"):
        return
    sizes = {
        resource.RLIMIT_DATA: function.memory * MIB + SLACK,
        resource.RLIMIT_FSIZE: function.storage * MIB,
        resource.RLIMIT_CORE: 0,
    }
    for limit, size in sizes.items():
        _, most = resource.getrlimit(limit)
        allowed = size if most == resource.RLIM_INFINITY else min(size, most)
        resource.prlimit(pid, limit, (allowed, allowed))


def _tie(pid: int, lifeline: int) -> None:
    """Have the kernel kill the process group when the lifeline's other end closes.

    The signal of asynchronous I/O on the pipe is made SIGKILL and sent to the group: that works while the
    handler computes without ever returning to the interpreter, and reaches the processes it has started.
    The setting belongs to the open pipe, which the process holds.
    """
    if not hasattr(
        fcntl, "F_SETSIG"
    ):  # not Linux: an idle process ends by itself, a busy one after its handler
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -pid)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
