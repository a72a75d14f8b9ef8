"""CIFAR-100's archive, read as a stream: nothing is extracted to disk and nothing in it is run.

Layout (https://www.cs.toronto.edu/~kriz/cifar.html): a tar.gz with `cifar-100-python/{meta,train,test}`, each
a pickled dict written by Python 2. A row of `data` is 3,072 bytes: 1,024 red, 1,024 green, 1,024 blue values.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from scones.data.unpickling import load_arrays
from scones.errors import DataError

MEMBERS = ("meta", "train", "test")
SIDE = 32
ROW = 3 * SIDE * SIDE
# The official archive unpacks to 187 MB; whatever grows beyond this is a bomb, or not CIFAR-100.
MOST_BYTES = 512 * 1024 * 1024
MOST_MEMBERS = 64
_HINT = "Get the archive again, from its official source."


@dataclass(frozen=True)
class Rows:
    """One split: pixels (n, 3072) uint8, labels (n,), names (n)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: list[str]


@dataclass(frozen=True)
class Archive:
    """The whole archive in memory; `classes` are the names of the fine labels."""

    classes: list[str]
    train: Rows
    test: Rows


def read_archive(path: Path) -> Archive:
    """Read and check the archive at `path` (.tar.gz or .tar).

    Raises DataError if it is missing, damaged, hostile, or not of CIFAR-100's layout.
    """
    loaded: dict[str, dict[str, Any]] = {}
    with _open_tar(path) as tar:
        for member in _check_members(tar, path):
            pieces = _Pieces(cast(BinaryIO, tar.extractfile(member)))
            loaded[PurePosixPath(member.name).name] = load_arrays(
                io.BufferedReader(pieces, 1 << 16), f"{path.name}:{member.name}"
            )
    missing = [name for name in MEMBERS if name not in loaded]
    if missing:
        raise DataError(f"{path.name} lacks cifar-100-python/{missing[0]}.", _HINT)
    classes = _read_classes(loaded["meta"], path)
    rows = [_read_rows(loaded.pop(name), len(classes), f"{path.name}:{name}") for name in ("train", "test")]
    return Archive(classes, *rows)


class _Bounded:
    """A stream that refuses to grow beyond MOST_BYTES, and that tells its damage as such to all readers."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MOST_BYTES

    def read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except (EOFError, gzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
            raise DataError(f"is truncated or damaged: {error}.") from error
        self._left -= len(data)
        if self._left < 0:
            raise DataError(f"unpacks to more than {MOST_BYTES >> 20} MiB, more than CIFAR-100 can.")
        return data


class _Pieces(io.RawIOBase):
    """Hands on a stream piece by piece, so that one large read costs no second copy of what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(min(len(buffer), 1 << 16))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            # GzipFile checks length and CRC to the end, which tarfile's own gzip stream does not.
            unzip: Any = igzip.GzipFile
            stream = _Bounded(unzip(fileobj=file) if zipped else file)
            with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|", bufsize=1 << 16) as tar:
                yield tar
                while stream.read(1 << 16):
                    pass
    except DataError as error:
        named = error.message if error.message.startswith(path.name) else f"{path.name} {error.message}"
        raise DataError(named, error.hint or _HINT) from error
    except FileNotFoundError:
        raise DataError(f"There is no archive at {path}.") from None
    except (
        tarfile.TarError,
        EOFError,
        ValueError,
        LookupError,
        ArithmeticError,
    ) as error:  # tarfile's, all of them
        raise DataError(f"{path.name} is not a tar archive that can be read: {error}.", _HINT) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_members(tar: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    seen: set[str] = set()
    for count, member in enumerate(tar, start=1):
        parts = PurePosixPath(member.name).parts
        if count > MOST_MEMBERS:
            raise DataError(f"holds more than {MOST_MEMBERS} members; CIFAR-100 has five.")
        if member.name.startswith("/") or ".." in parts:
            raise DataError(f"holds a member that leads out of it: {member.name!r}.")
        if member.size < 0 or not (member.isreg() or member.isdir()) or member.issparse():
            raise DataError(f"holds {member.name!r}, which is neither a plain file nor a folder.")
        if member.isreg() and parts[:-1] == ("cifar-100-python",) and parts[-1] in MEMBERS:
            if parts[-1] in seen:
                raise DataError(f"holds {member.name!r} twice.")
            seen.add(parts[-1])
            yield member


def _read_classes(meta: dict[str, Any], path: Path) -> list[str]:
    names = meta.get("fine_label_names")
    if not isinstance(names, list) or not names or len(names) > 100:
        raise DataError(f"{path.name}:meta has no list of fine label names.", _HINT)
    return [_decode(name, f"{path.name}:meta") for name in names]


def _read_rows(split: dict[str, Any], classes: int, name: str) -> Rows:
    pixels, labels, names = (split.get(key) for key in ("data", "fine_labels", "filenames"))
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != ROW:
        raise DataError(f"{name} has no table of {ROW} bytes a row.", _HINT)
    if (
        not isinstance(labels, list)
        or not isinstance(names, list)
        or not len(labels) == len(names) == len(pixels)
    ):
        raise DataError(f"{name} has {len(pixels)} rows, but not as many labels and file names.", _HINT)
    wrong = next((label for label in labels if type(label) is not int or not 0 <= label < classes), None)
    if wrong is not None:
        raise DataError(f"{name} has the label {wrong!r}; labels go from 0 to {classes - 1}.", _HINT)
    return Rows(pixels, np.array(labels, dtype=np.int64), [_decode(entry, name) for entry in names])


def _decode(text: Any, name: str) -> str:
    if not isinstance(text, bytes | str):
        raise DataError(f"{name} has {text!r} where a name belongs.", _HINT)
    return text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
