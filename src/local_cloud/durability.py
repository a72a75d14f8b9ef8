"""Ties ministack's stores to the journal and its S3 to the disk; nothing is acknowledged that is not kept."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import sys
from types import ModuleType
from typing import Any

from local_cloud import objects
from local_cloud.cloud import Cloud
from local_cloud.emulator import SERVICES
from local_cloud.errors import StorageFull
from local_cloud.journal import Journal, damaged
from local_cloud.requests import Request
from local_cloud.tracking import Touched

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2.0

# Where get_state's name for a store is not that of the module's variable without its underscore.
_VARIABLES = {("eventbridge", "buses"): "_event_buses", ("s3", "buckets_meta"): "_buckets"}

# Operations that take no room; the others are refused while the disk is nearly full.
_ROOMLESS = re.compile(
    r"^(?:Get|List|Describe|Batch[A-Z][a-z]*Get|BatchGet|Query$|Scan$|Receive|Filter|Delete|Purge|Stop)"
)


class Durability:
    """What the gateway needs to keep its word."""

    def __init__(self, cloud: Cloud) -> None:
        """Recover S3's files and read everything that was saved. Raises CorruptState."""
        objects.recover(cloud.places.objects)
        objects.check(cloud.places.objects)
        self._cloud = cloud
        self._journal = Journal(cloud.places.journal)
        objects.install()
        self._restore()
        self._watch_modules()

    def begin(self, request: Request) -> None:
        """Before `request` is passed on. Raises StorageFull when there may be no room for what it writes."""
        objects.expect_writes()
        if (
            request.method in ("GET", "HEAD", "DELETE")
            or request.service == "sts"
            or _ROOMLESS.match(request.action)
        ):
            return
        total, _, free = shutil.disk_usage(self._cloud.places.home)
        reserve = min(64 * 1024**2, total // 20)
        if free < reserve + request.content_length:
            message = f"The disk of {self._cloud.places.home} is full: {free // 1024} KiB are free."
            raise StorageFull(message, "Free disk space.")

    def save(self) -> None:
        """Return when everything the response may acknowledge is on disk. Raises StorageFull."""
        objects.raise_failure()
        self._watch_modules()
        self._journal.save()

    async def sweep_forever(self) -> None:
        """Keep, every two seconds, what changed without anybody waiting for it: metrics, logs, progress."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                self._watch_modules()
                self._journal.touch_all()
                self._journal.save(lazy=True)
            except StorageFull as error:
                logger.warning("%s %s", error.message, error.hint)

    def close(self) -> None:
        """Keep everything and close the files."""
        self._watch_modules()
        self._journal.close()

    def _restore(self) -> None:
        from importlib import import_module

        for name, stores in self._journal.load().items():
            module = import_module(f"ministack.services.{name}")
            state = {store: _make_store(module, store, entries) for store, entries in stores.items()}
            try:
                module.load_persisted_state(state)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise damaged(self._cloud.places.journal, f"{name}: {error}") from error

    def _watch_modules(self) -> None:
        """Watch the stores of modules that came since the last look: ministack imports them when needed."""
        for name in SERVICES.values():
            module = sys.modules.get(f"ministack.services.{name}")
            if module is None or self._journal.is_watched(name):
                continue
            for store in module.get_state() or {}:
                variable = _find_store(module, store)
                variable._data = Touched(variable._data)
                self._journal.watch(name, store, variable._data)


def _find_store(module: ModuleType, store: str) -> Any:
    name = module.__name__.rpartition(".")[2]
    return getattr(module, _VARIABLES.get((name, store), f"_{store}"))


def _make_store(module: ModuleType, store: str, entries: dict[Any, Any]) -> Any:
    made = type(_find_store(module, store))()
    made._data.update(entries)
    return made
