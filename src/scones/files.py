"""Files that are written whole or not at all, and their addresses in S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scones.errors import DataError


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it becomes `path` once the block ends well, else it is removed.

    Raises DataError where no file can be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}.", "Make room there, or name another place."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write the whole file (UTF-8), or leave what was there."""
    with write_aside(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def split_address(address: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; the key may be empty."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key
