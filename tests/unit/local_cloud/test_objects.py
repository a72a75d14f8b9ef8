"""An object and its sidecar are replaced as one, at whatever step the process dies."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_cloud import objects
from local_cloud.errors import CorruptState, StorageFull

MOST_STEPS = 12


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise Killed instead of the `step`th call that touches the disk, or after half of a write."""
    seen = 0

    def count(real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == step:
                raise Killed
            return real(*arguments, **named)

        return counted

    real_open = open

    def open_and_write(*arguments: Any, **named: Any) -> Any:
        nonlocal seen
        seen += 1
        file = real_open(*arguments, **named)
        if seen == step:
            file.write(b"half")
            file.close()
            raise Killed
        return file

    monkeypatch.setattr(os, "open", count(os.open))
    monkeypatch.setattr(os, "replace", count(os.replace))
    monkeypatch.setitem(objects.__dict__, "open", open_and_write)


def write(path: Path, body: bytes) -> None:
    """As ministack does: the data, then the sidecar."""
    objects._write(str(path), body)
    objects._write(f"{path}.meta.json", json.dumps({"size": len(body), "text": body.decode()}), text=True)


def read(path: Path) -> tuple[bytes, str]:
    return path.read_bytes(), json.loads(Path(f"{path}.meta.json").read_text())["text"]


@pytest.mark.parametrize("step", range(1, MOST_STEPS))
def test_after_a_kill_the_object_is_the_old_or_the_new_one(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bucket" / "key"
    path.parent.mkdir()
    write(path, b"old")
    killed = False
    with monkeypatch.context() as patch:
        kill_at(step, patch)
        try:
            write(path, b"newer")
        except Killed:
            killed = True
    objects.recover(tmp_path)
    objects.check(tmp_path)
    assert read(path) in ([(b"old", "old"), (b"newer", "newer")] if killed else [(b"newer", "newer")])
    assert sorted(found.name for found in path.parent.iterdir()) == ["key", "key.meta.json"]


def test_some_step_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above reaches the end of a write: its last parameters are not killed any more."""
    kill_at(MOST_STEPS, monkeypatch)
    write(tmp_path / "key", b"body")


def test_a_kept_version_needs_no_sidecar(tmp_path: Path) -> None:
    path = tmp_path / ".versions" / "key"
    path.parent.mkdir()
    objects._write(str(path), b"old version")
    assert path.read_bytes() == b"old version"
    assert [found.name for found in path.parent.iterdir()] == ["key"]


def test_a_failed_write_is_remembered_for_its_request_and_spares_the_old_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    write(path, b"old")
    objects.expect_writes()
    objects.raise_failure()

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(OSError, match="No space"):
            objects._write(str(path), b"new")
    with pytest.raises(OSError, match="No space"):  # a later half of the same request
        objects._write(f"{path}.meta.json", "{}", text=True)
    with pytest.raises(StorageFull, match="No space left"):
        objects.raise_failure()
    assert read(path) == (b"old", "old")
    objects.expect_writes()
    objects.raise_failure()


@pytest.mark.parametrize("sidecar", ['{"size": 4', '{"size": 4}', "[]"])
def test_a_sidecar_that_does_not_fit_is_found(sidecar: str, tmp_path: Path) -> None:
    write(tmp_path / "key", b"abc")
    (tmp_path / "key.meta.json").write_text(sidecar)
    with pytest.raises(CorruptState, match="key"):
        objects.check(tmp_path)
