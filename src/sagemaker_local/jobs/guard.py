"""Runs one program so that it, and all it started, end with the program that asked.

    python guard.py [--mount TARGET SOURCE ...] FD COMMAND ...

FD is the reading end of a pipe whose writing end the asker holds: when the asker dies, even by SIGKILL, the
pipe closes and the whole process group is killed (-1: no pipe). SIGTERM is passed on to the program alone, as
Docker does. With --mount the program, and nothing else, sees SOURCE as TARGET. Exits with the program's code,
128 + N after signal N, 127 when it cannot be started, 125 when SOURCE cannot be mounted. Standard library
only, for it is run by `python -I -S`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading

# <sched.h>, <sys/mount.h>
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18


def main(arguments: list[str]) -> int:
    """Run the program and return its exit code."""
    mounts = []
    while arguments[0] == "--mount":
        _, target, source, *arguments = arguments
        mounts.append((source, target))
    try:
        _mount_alone(mounts)
    except OSError as error:
        print(f"{mounts[0][0]} cannot be mounted: {error.strerror}", file=sys.stderr, flush=True)
        return 125
    return _run(int(arguments[0]), arguments[1:])


def _run(pipe: int, command: list[str]) -> int:
    try:
        program = subprocess.Popen(command, process_group=0)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    signal.signal(signal.SIGTERM, lambda *_: program.send_signal(signal.SIGTERM))
    if pipe >= 0:
        threading.Thread(target=_kill_when_closed, args=(pipe, program.pid), daemon=True).start()
    code = program.wait()
    _kill_group(program.pid)
    return code if code >= 0 else 128 - code


def _kill_when_closed(pipe: int, group: int) -> None:
    while os.read(pipe, 1):
        pass
    _kill_group(group)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _mount_alone(mounts: list[tuple[str, str]]) -> None:
    """Show each source as its target to this process and its children alone. Raises OSError."""
    if not mounts:
        return
    user, group = os.getuid(), os.getgid()
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    for source, target in mounts:
        if os.path.exists(target):
            _mount(source, target, None, _MS_BIND | _MS_REC)
        else:
            _mount_in_copy(source, target)


def _mount_in_copy(source: str, target: str) -> None:
    """The same when `target` does not exist: its parent is rebuilt from what lies there, and `target`."""
    parent, name = os.path.split(target)
    with tempfile.TemporaryDirectory() as stage:
        _mount("tmpfs", stage, "tmpfs", 0)
        for entry in os.scandir(parent):
            place = os.path.join(stage, entry.name)
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), place)
                continue
            os.mkdir(place) if entry.is_dir() else open(place, "w").close()
            _mount(entry.path, place, None, _MS_BIND | _MS_REC)
        os.mkdir(os.path.join(stage, name))
        _mount(source, os.path.join(stage, name), None, _MS_BIND | _MS_REC)
        _mount(stage, parent, None, _MS_BIND | _MS_REC)
        _call("umount2", stage.encode(), 2)


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    _call("mount", *encoded, flags, None)


def _call(name: str, *arguments: object) -> None:
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
