"""S3's objects on disk: what ministack's own persistence lacks to be relied on.

An object is a file and a sidecar with its metadata, `NAME` and `NAME.meta.json`. ministack writes one after
the other and only logs a failure. Here both are written aside first (`NAME.tmp`, `NAME.meta.json.tmp`) and
then renamed, data before sidecar; so after a kill at any moment `recover` knows which half was done:

    NAME.tmp is there        the new object was not complete: the leftovers are removed, the old object stands
    only NAME.meta.json.tmp  the data has its name already: the rename of the sidecar is made good

A failure is remembered for the request that caused it, which is then refused.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from local_cloud.errors import StorageFull
from local_cloud.journal import damaged

SIDECAR = ".meta.json"

_failures: ContextVar[list[OSError]] = ContextVar("failed_writes")


def recover(root: Path) -> None:
    """Finish or undo what was being written when the last run died."""
    for sidecar in _walk(root, SIDECAR + ".tmp"):
        data = Path(f"{str(sidecar).removesuffix(SIDECAR + '.tmp')}.tmp")
        if not data.exists() and _is_json(sidecar):
            sidecar.replace(sidecar.with_suffix(""))
    for leftover in _walk(root, ".tmp"):
        leftover.unlink()


def check(root: Path) -> None:
    """Raise CorruptState when a sidecar is unreadable or does not fit its object."""
    for sidecar in _walk(root, SIDECAR):
        try:
            about = json.loads(sidecar.read_bytes())
            size = about.get("size")
        except (ValueError, AttributeError) as error:
            raise damaged(sidecar, error) from error
        data = Path(str(sidecar).removesuffix(SIDECAR))
        if data.is_file() and size is not None and data.stat().st_size != size:
            raise damaged(data, f"it has {data.stat().st_size} bytes, and should have {size}")


def install() -> None:
    """Have ministack's S3 write its files through this module."""
    from ministack.services import s3

    s3._atomic_write = _write


def expect_writes() -> None:
    """Begin to remember failures for the request being served."""
    _failures.set([])


def raise_failure() -> None:
    """Raise StorageFull when a write of the request being served failed."""
    failed = _failures.get([])
    if failed:
        raise StorageFull(f"The object could not be kept: {failed[0].strerror}.", "Free disk space.")


def _write(path: str, content: Any, *, text: bool = False) -> None:
    failed = _failures.get([])
    try:
        if failed:  # an earlier half is missing: leave the old object alone
            raise failed[0]
        _write_aside(path, content.encode() if text else content)
    except OSError as error:
        failed.append(error)
        for leftover in (path, path.removesuffix(SIDECAR)):
            with suppress(OSError):
                os.remove(leftover + ".tmp")
        raise


def _write_aside(path: str, content: bytes) -> None:
    with open(os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    if path.endswith(SIDECAR):
        data = path.removesuffix(SIDECAR)
        if os.path.exists(data + ".tmp"):
            os.replace(data + ".tmp", data)
        os.replace(path + ".tmp", path)
    elif f"{os.sep}.versions{os.sep}" in path:  # kept versions have no sidecar
        os.replace(path + ".tmp", path)


def _walk(root: Path, suffix: str) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if name.endswith(suffix))


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
