"""Brings an archive to this machine: from a path, a URL or the official host, checked before it is opened."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, url2pathname

from scones.data.collection import Progress
from scones.data.locking import hold_lock
from scones.data.transfer import Interrupted, open_url, receive
from scones.errors import DataError, UsageError

ATTEMPTS = 5
PAUSE = 1.0  # seconds before the second attempt, doubled for each after it


@dataclass(frozen=True)
class Official:
    """Where CIFAR-100 comes from, and what must arrive."""

    url: str
    size: int
    md5: str

    def cached(self, cache_dir: Path) -> Path:
        """Where the archive is kept once it was checked."""
        return cache_dir / Path(urlsplit(self.url).path).name


CIFAR100 = Official(
    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    169_001_437,
    "eb9058c3a382ffc7106e4002c42a8d85",
)


@dataclass(frozen=True)
class Checksums:
    """Of a whole file; MD5 only where the official archive's must be compared."""

    size: int
    sha256: str
    md5: str


def fetch_archive(
    source: str, cache_dir: Path, sha256: str, progress: Progress, official: Official = CIFAR100
) -> tuple[Path, dict[str, Any]]:
    """The archive as a local file whose checksums were verified, and how dataset.json describes it.

    `source` is cifar100, a path, or a file://, https:// or (with `sha256`, or on this machine) http:// URL.
    Downloads are kept in `cache_dir`, which any number of processes may share. Raises DataError, UsageError.
    """
    if sha256 and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise UsageError(f"{sha256!r} is no SHA-256.", "Give its 64 hexadecimal digits.")
    url = official.url if source == "cifar100" else source
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        _check_scheme(url, sha256)
        path = official.cached(cache_dir) if url == official.url else _name_in_cache(url, cache_dir)
        sums = _fetch(url, path, sha256, progress, official if url == official.url else None)
    else:
        path = Path(url2pathname(urlsplit(url).path) if scheme == "file" else url).expanduser()
        sums = _compute_checksums(path)
        _check(sums, path.name, sha256, None)
    description: dict[str, Any] = {"kind": "cifar100", "name": path.name}
    if scheme in ("http", "https"):
        description = {"kind": "cifar100", "name": path.name, "url": _strip_secrets(url)}
    return path, description | {"sha256": sums.sha256, "bytes": sums.size}


def is_reachable(url: str, seconds: float) -> bool:
    """Whether the host answers for this URL within so many seconds, whatever hangs: names, handshakes."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with open_url(Request(url, method="HEAD"), timeout=seconds):
                answered.set()
        except (DataError, Interrupted):
            pass

    threading.Thread(target=ask, daemon=True).start()
    return answered.wait(seconds)


def _check_scheme(url: str, sha256: str) -> None:
    parts = urlsplit(url)
    if parts.username or not parts.hostname:
        raise UsageError(f"{_strip_secrets(url)} must be a URL with a host and no user name or password.")
    if parts.scheme == "http" and not sha256 and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise UsageError(
            f"{_strip_secrets(url)} can be altered on the way, and nothing would show it.",
            "Use https://, or say what must arrive with --sha256.",
        )


def _name_in_cache(url: str, cache_dir: Path) -> Path:
    name = Path(urlsplit(url).path).name or "archive"
    return cache_dir / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"


def _strip_secrets(url: str) -> str:
    """Without user name, password and query, which may hold a signature."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"


def _fetch(url: str, path: Path, sha256: str, progress: Progress, official: Official | None) -> Checksums:
    """The cached file if it is whole, else a new download; one process at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with hold_lock(path.with_name(f"{path.name}.lock")):
            if path.is_file() and (sums := _recheck(path, sha256, official)):
                return sums
            return _download(url, path, sha256, progress, official)
    except OSError as error:
        raise DataError(
            f"The cache {path.parent} cannot be used: {error.strerror or error}.",
            "Make room there, or set another place with SCONES_CACHE_DIR.",
        ) from error


def _recheck(path: Path, sha256: str, official: Official | None) -> Checksums | None:
    """Checksums of a cached file, or None (and it is removed) if it is not what it was or what is wanted."""
    sums = _compute_checksums(path, official)
    recorded = path.with_name(f"{path.name}.sha256")
    try:
        _check(
            sums, path.name, sha256 or (recorded.read_text().strip() if recorded.is_file() else ""), official
        )
    except DataError:
        path.unlink()
        return None
    return sums


def _download(url: str, path: Path, sha256: str, progress: Progress, official: Official | None) -> Checksums:
    part = path.with_name(f"{path.name}.part")
    for attempt in range(ATTEMPTS):
        try:
            receive(url, part, official.size if official else 0, progress)
            break
        except Interrupted as error:
            if attempt == ATTEMPTS - 1:
                raise DataError(
                    f"{_strip_secrets(url)} could not be downloaded: {error}.",
                    "Try again later (what has arrived is kept), or use --source sample.",
                ) from error
            time.sleep(PAUSE * 2**attempt)
    sums = _compute_checksums(part, official)
    try:
        _check(sums, path.name, sha256, official)
    except DataError:
        part.unlink()
        raise
    path.with_name(f"{path.name}.sha256").write_text(f"{sums.sha256}\n")
    os.replace(part, path)
    return sums


def _compute_checksums(path: Path, official: Official | None = None) -> Checksums:
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            file.seek(0)
            md5 = hashlib.file_digest(file, "md5").hexdigest() if official else ""
            return Checksums(size, sha256, md5)
    except FileNotFoundError:
        raise DataError(
            f"There is no archive at {path}.", "Name a file, a URL, or --source sample."
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _check(sums: Checksums, name: str, sha256: str, official: Official | None) -> None:
    if official and sums.size != official.size:
        raise DataError(f"{name} has {sums.size:,} bytes, not {official.size:,}.", "Get it again.")
    if official and sums.md5 != official.md5:
        raise DataError(f"{name} has the MD5 {sums.md5}, not {official.md5}.", "Get it again.")
    if sha256 and sums.sha256 != sha256.lower():
        raise DataError(
            f"{name} has the SHA-256 {sums.sha256}, not {sha256.lower()}.",
            "Get it again, or correct --sha256.",
        )
