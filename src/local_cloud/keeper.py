"""Starts the cloud's server, waits for it, and then ends every process it left behind.

Run by path as a program of its own (`python -I -S keeper.py [--with-parent] COMMAND …`), with nothing but the
standard library, so that it is small and cannot fail with the server. It is a child subreaper (prctl(2)):
when the server dies, even by SIGKILL, its Lambda runtimes, training jobs and model servers become the
keeper's own children, and it kills them. The server in turn is told by the kernel when the keeper dies.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> None:
    """Call prctl(2) where there is one (Linux); elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies. Call it from the main thread of a fresh process."""
    parent = os.getppid()
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the request was made
        os.kill(os.getpid(), signal.SIGTERM)


def wait_for(server: int) -> int:
    """Reap children until `server` ends; its exit code, 128 + n for signal n."""
    while True:
        pid, status = os.wait()
        if pid == server:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def kill_children() -> None:
    """Kill this process's children, and theirs as they arrive here, until there are none."""
    while True:
        for child in _list_children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def _pass_on(server: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGTERM)


def _list_children() -> list[int]:
    path = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    return []


def main(arguments: list[str]) -> int:
    if arguments[0] == "--with-parent":
        end_with_parent()
        arguments = arguments[1:]
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = os.posix_spawn(arguments[0], arguments, os.environ)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _pass_on(server))
    code = wait_for(server)
    kill_children()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
