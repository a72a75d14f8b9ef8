"""Data capture: invocations as JSON lines in S3, written so that a killed process loses a second at most.

Records wait in memory for a second at most, then go to a file below the spool folder and to the disk (fsync).
A file is finished within a minute of its first record, then uploaded. The spool mirrors S3 (spool/bucket/key;
files being written end in .open), so what a killed process left is found and uploaded at the next start.

Paths, names and records are those of files that SageMaker wrote (model-monitor-data-capture-endpoint).
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sagemaker_local.endpoints.capture_record import Invocation, format_record
from sagemaker_local.endpoints.errors import EndpointError
from sagemaker_local.endpoints.spec import CaptureSpec

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
QUIET_SECONDS = (
    5.0  # a file that nothing came to for so long is finished, so that nobody waits a minute for it
)
MOST_WAITING = 256 * 1024**2  # bytes in memory; a disk slower than that loses records rather than requests
LEAST_DISK = 512 * 1024**2  # capture stops while less is free (SageMaker stops it, too, on a full disk)
LONGEST_PAUSE = 30.0  # seconds between tries to upload
OPEN = ".open"


def locate_spool(spool: Path, destination: str) -> Path:
    """The spool folder of a destination S3 URI. Raises EndpointError for what is no such URI."""
    scheme, _, rest = destination.partition("://")
    parts = rest.rstrip("/").split("/")
    if scheme != "s3" or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise EndpointError(f"DestinationS3Uri {destination!r} is not an S3 URI like s3://bucket/prefix.")
    return spool.joinpath(*parts)


@dataclass
class _Batch:
    """A file that is being written: its name when finished, its length and when it was begun."""

    path: Path
    length: int = 0
    begun: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)

    @property
    def open_path(self) -> Path:
        return self.path.with_name(self.path.name + OPEN)

    def append(self, content: bytes) -> None:
        """Write whole lines to the disk, or, with an OSError, nothing."""
        with self.open_path.open("ab", buffering=0) as stream:
            try:
                written = 0
                while written < len(content):
                    written += stream.write(content[written:])
                os.fsync(stream.fileno())
            except OSError:
                stream.truncate(self.length)
                raise
        self.length += len(content)
        self.touched = time.monotonic()


class CaptureWriter:
    """Writes the captured invocations of one endpoint to the spool, in a thread."""

    def __init__(self, spec: CaptureSpec, endpoint: str, spool: Path, roll_seconds: float) -> None:
        self._spec = spec
        self._folder = locate_spool(spool, spec.destination) / endpoint
        self._folder.mkdir(parents=True, exist_ok=True)
        self._roll_seconds = roll_seconds
        self._waiting: deque[Invocation] = deque()
        self._offered = self._taken = 0  # bytes; one is counted by the caller's thread, the other by ours
        self._lost = 0
        self._batches: dict[Path, _Batch] = {}  # by the folder of variant and hour
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"capture-{endpoint}", daemon=True)
        self._thread.start()

    def is_sampled(self) -> bool:
        """Whether to capture the next invocation."""
        return random.random() * 100 < self._spec.sampling_percentage

    def offer(self, invocation: Invocation) -> None:
        """Take one invocation; costs a microsecond, whatever its size."""
        size = len(invocation.request) + len(invocation.response)
        if self._offered - self._taken + size > MOST_WAITING:
            self._lost += 1
            return
        self._offered += size
        self._waiting.append(invocation)

    def close(self) -> None:
        """Finish all files; blocks until that is done."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(FLUSH_SECONDS):
            self._step(everything=False)
        self._step(everything=True)

    def _step(self, everything: bool) -> None:
        invocations = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            self._write(invocations)
        except OSError as error:
            logger.error("captured data could not be written: %s", error)
        self._taken += sum(len(each.request) + len(each.response) for each in invocations)
        if lost := self._lost:
            self._lost -= lost
            logger.error("%d invocations were not captured: the disk is too slow", lost)
        self._finish(everything)

    def _write(self, invocations: list[Invocation]) -> None:
        if invocations and shutil.disk_usage(self._folder).free < LEAST_DISK:
            raise OSError(
                f"less than {LEAST_DISK >> 20} MiB are free, {len(invocations)} invocations are lost"
            )
        lines: dict[Path, list[bytes]] = defaultdict(list)
        for each in invocations:
            lines[self._find_batch(each)].append(format_record(each, self._spec))
        for folder, content in lines.items():
            self._batches[folder].append(b"".join(content))

    def _find_batch(self, invocation: Invocation) -> Path:
        moment = datetime.fromtimestamp(invocation.time, UTC)
        folder = self._folder / invocation.variant / moment.strftime("%Y/%m/%d/%H")
        if folder not in self._batches:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{moment:%M-%S}-{moment.microsecond // 1000:03d}-{uuid.uuid4()}.jsonl"
            self._batches[folder] = _Batch(folder / name)
        return folder

    def _finish(self, everything: bool) -> None:
        # The first record waited for up to one step, and the next chance comes a step later.
        now = time.monotonic()
        oldest, quiet = now - (self._roll_seconds - 2 * FLUSH_SECONDS), now - QUIET_SECONDS
        for folder, batch in list(self._batches.items()):
            if everything or batch.begun <= oldest or batch.touched <= quiet:
                del self._batches[folder]
                if batch.length:
                    batch.open_path.rename(batch.path)


class CaptureDelivery:
    """Uploads the finished files of a spool, in a thread; what fails is tried again."""

    def __init__(self, spool: Path, upload: Callable[[Path, str], None]) -> None:
        self._spool = spool
        self._upload = upload
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture-delivery", daemon=True)

    def open(self) -> None:
        """Finish what a killed process left, then start. Call it before any writer exists."""
        self._spool.mkdir(parents=True, exist_ok=True)
        for path in list(self._spool.rglob(f"*{OPEN}")):
            _recover(path)
        _remove_empty_folders(self._spool)
        self._thread.start()

    def deliver(self) -> bool:
        """Upload what is finished now; False when something could not be."""
        delivered = True
        for path in sorted(self._spool.rglob("*.jsonl")):
            uri = f"s3://{path.relative_to(self._spool).as_posix()}"
            try:
                self._upload(path, uri)
                path.unlink()
            except FileNotFoundError:
                continue  # delivered meanwhile
            except Exception as error:  # the edge to whatever cloud there is; the file stays
                logger.warning("captured data could not be uploaded to %s yet: %s", uri, error)
                delivered = False
        return delivered

    def close(self) -> None:
        """Deliver what there is, once, and end; blocks until that is done."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        pause = FLUSH_SECONDS
        while not self._ending.wait(pause):
            pause = FLUSH_SECONDS if self.deliver() else min(2 * pause, LONGEST_PAUSE)
        self.deliver()


def _remove_empty_folders(spool: Path) -> None:
    """Each hour of each variant had one."""
    for folder in sorted((path for path in spool.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def _recover(path: Path) -> None:
    """Finish a file that was being written; a line that was cut off is left out."""
    content = path.read_bytes()
    complete = content.rfind(b"\n") + 1
    os.truncate(path, complete)
    if complete:
        path.rename(path.with_name(path.name.removesuffix(OPEN)))
    else:
        path.unlink()
