"""Sweeps go on whatever one of them meets."""

from __future__ import annotations

import asyncio
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from local_cloud import durability
from local_cloud.durability import Durability
from local_cloud.journal import Journal
from local_cloud.tracking import Touched

KEY = ("000000000000", "us-east-1", "name")


def test_a_sweep_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durability, "SWEEP_SECONDS", 0.01)
    import_module("ministack.core.persistence")  # else the first sweep takes long, and the next one waits
    entries = Touched({})
    journal = Journal(tmp_path / "state.sqlite")
    journal.watch("cloudwatch", "metrics", entries)
    swept = object.__new__(Durability)
    swept._journal = journal

    async def sweep() -> dict[Any, Any]:
        sweeping = asyncio.create_task(swept.sweep_forever())
        for entry in ({"n": object()}, {"n": 1}):  # the first cannot be saved
            entries[KEY] = entry
            async with asyncio.timeout(30):
                while entries.touched:
                    await asyncio.sleep(0.01)
        sweeping.cancel()
        return journal.load()

    assert asyncio.run(sweep()) == {"cloudwatch": {"metrics": {KEY: {"n": 1}}}}
    journal.close()
