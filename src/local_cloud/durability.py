"""Ties ministack's stores to the journal and its S3 to the disk; nothing is acknowledged that is not kept."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from importlib import import_module
from types import ModuleType
from typing import Any

from local_cloud import objects
from local_cloud.cloud import Cloud
from local_cloud.emulator import SERVICES
from local_cloud.errors import StorageFull
from local_cloud.journal import Journal, damaged
from local_cloud.requests import Request
from local_cloud.restart import REPAIRS
from local_cloud.tracking import Touched, only_looks

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0

# Where get_state's name for a store is not that of the module's variable without its underscore.
_VARIABLES = {("eventbridge", "buses"): "_event_buses", ("s3", "buckets_meta"): "_buckets"}

# Functions of modules that look at many entries and change none; a query looks at hundreds of items.
_READERS = {"dynamodb": ("_get_item", "_batch_get_item", "_query", "_scan", "_transact_get_items")}

# Operations of the JSON protocols that only look, and those that make room: the latter go on on a full disk.
_READS = re.compile(r"^(?:Get|List|Describe|BatchGet|TransactGet|Filter|(?:Query|Scan|ReceiveMessage)$)")
_ROOMLESS = re.compile(r"^(?:Delete|Purge|Stop)")


class Durability:
    """What the gateway needs to keep its word."""

    def __init__(self, cloud: Cloud) -> None:
        """Recover S3's files, check them and the journal. Raises CorruptState."""
        objects.recover(cloud.places.objects)
        objects.check(cloud.places.objects)
        self._cloud = cloud
        self._journal = Journal(cloud.places.journal)
        objects.install()

    def restore(self) -> None:
        """Give ministack's modules what was saved, and watch them from now on. Raises CorruptState."""
        for name, stores in self._journal.load().items():
            module = import_module(f"ministack.services.{name}")
            state = {store: _make_store(module, store, entries) for store, entries in stores.items()}
            try:
                module.load_persisted_state(state)
                REPAIRS.get(name, _leave)(module)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise damaged(self._cloud.places.journal, f"{name}: {error}") from error
        self._watch_modules()
        self._journal.save(lazy=True)  # so that no request waits for what the restart changed

    def begin(self, request: Request) -> None:
        """Before `request` is passed on. Raises StorageFull when there may be no room for what it writes."""
        objects.expect_writes()
        if _is_read(request) or _makes_room(request):
            return
        total, _, free = shutil.disk_usage(self._cloud.places.home)
        reserve = min(64 * 1024**2, total // 20)
        if free < reserve + request.content_length:
            message = f"The disk of {self._cloud.places.home} is full: {free // 1024} KiB are free."
            raise StorageFull(message, "Free disk space.")

    def save(self, request: Request) -> None:
        """Return when everything the response to `request` may acknowledge is on disk. Raises StorageFull."""
        try:
            self._journal.save()
            objects.raise_failure()
        except StorageFull:
            if not _is_read(request):
                raise

    async def sweep_forever(self) -> None:
        """Keep, every two seconds, what changed without anybody waiting for it: metrics, logs, progress.

        More rarely when it takes long, so that it never takes more than a twentieth of the time.
        """
        took = 0.0
        while True:
            await asyncio.sleep(max(SWEEP_SECONDS, 20 * took))
            began = time.monotonic()
            try:
                self._journal.touch_all()
                self._journal.save(lazy=True)
            except StorageFull as error:
                logger.warning("%s", error)
            except Exception:  # nobody awaits this: it must not end while the cloud runs
                logger.exception("A sweep failed; the next one tries again.")
            took = time.monotonic() - began

    def close(self) -> None:
        """Keep everything and close the files."""
        self._journal.close()

    def _watch_modules(self) -> None:
        """Watch every store of every service from now on.

        All modules are imported for it: a store that came later could be written to by a worker thread at the
        very moment in which it is exchanged.
        """
        for name in SERVICES.values():
            module = import_module(f"ministack.services.{name}")
            for reader in _READERS.get(name, ()):
                setattr(module, reader, only_looks(getattr(module, reader)))
            for store in module.get_state() or {}:
                variable = _find_store(module, store)
                variable._data = Touched(variable._data)
                self._journal.watch(name, store, variable._data)


def _is_read(request: Request) -> bool:
    return request.method in ("GET", "HEAD") or bool(_READS.match(request.action))


def _makes_room(request: Request) -> bool:
    return request.method == "DELETE" or request.service == "sts" or bool(_ROOMLESS.match(request.action))


def _leave(module: ModuleType) -> None:
    """Most modules need no repair."""


def _find_store(module: ModuleType, store: str) -> Any:
    name = module.__name__.rpartition(".")[2]
    return getattr(module, _VARIABLES.get((name, store), f"_{store}"))


def _make_store(module: ModuleType, store: str, entries: dict[Any, Any]) -> Any:
    made = type(_find_store(module, store))()
    made._data.update(entries)
    return made
