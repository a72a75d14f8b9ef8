"""Unpacking a model.tar.gz that may be damaged or hostile."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path

from sagemaker_local.endpoints.errors import EndpointError

MOST_MEMBERS = 100_000
# tarfile reads a member's extended header in one go; contents come in smaller pieces.
MOST_READ_AT_ONCE = 1024 * 1024
SPARE_DISK = 256 * 1024**2


def unpack_model(archive: Path, target: Path, source: str, most_bytes: int) -> None:
    """Unpack `archive` below `target` (made, removed again on failure); `source` is what messages call it.

    Only plain files and folders that stay below `target` are taken. Raises EndpointError for a damaged
    archive, links, devices, paths that lead out, more than `most_bytes` unpacked, and a disk without that
    much room.
    """
    target.mkdir(parents=True)
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=_Guarded(stream), mode="r:") as tar:  # type: ignore[call-overload]
            _extract(tar, target, most_bytes)
            _read_to_the_end(stream)
    except (tarfile.TarError, EOFError, zlib.error, OSError, _Refused) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise EndpointError(
            f'Failed to extract model data archive from URL "{source}": {error}. '
            "Please ensure that the object located at the URL is a valid tar.gz archive and retry."
        ) from error


class _Refused(Exception):
    pass


class _Guarded:
    """A stream that refuses to be read in pieces that are too large for memory."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MOST_READ_AT_ONCE:
            raise _Refused("it holds a header that is too large")
        return self._stream.read(size)


def _extract(tar: tarfile.TarFile, target: Path, most_bytes: int) -> None:
    room = min(most_bytes, shutil.disk_usage(target).free - SPARE_DISK)
    for number, member in enumerate(tar):
        if number >= MOST_MEMBERS:
            raise _Refused(f"it has more than {MOST_MEMBERS} members")
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise _Refused(
                f"{member.name!r} is a link or a special file, only plain files and folders are taken"
            )
        if member.name.startswith("/"):
            raise _Refused(f"{member.name!r} is an absolute path, outside the destination")
        room -= member.size
        if room < 0:
            raise _Refused(
                f"unpacked it is larger than the {most_bytes} bytes allowed, or than the disk has room for"
            )
        tar.extract(member, target, filter="data")


def _read_to_the_end(stream: gzip.GzipFile) -> None:
    # The checksum comes last; a cut-off file may have all members and lack it.
    padding = 0
    while piece := stream.read(65536):
        padding += len(piece)
        if padding > MOST_READ_AT_ONCE:
            raise _Refused("something follows the archive")
