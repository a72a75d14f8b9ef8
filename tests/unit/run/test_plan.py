"""The names that a run is made of change with what goes into it."""

from __future__ import annotations

from pathlib import Path

from scones.cli.run import STEPS
from scones.run import sequence
from scones.run.plan import mark_source


def test_a_folder_is_another_source_once_a_photo_is_added(tmp_path: Path) -> None:
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle" / "a.png").write_bytes(b"a")
    source = f"folder:{tmp_path}"
    first = mark_source(source)
    assert mark_source(source) == first
    (tmp_path / "bicycle" / "b.png").write_bytes(b"b")
    assert mark_source(source) != first
    assert mark_source("auto") == "auto"


def test_the_command_names_the_steps() -> None:
    assert tuple(step.name for step in sequence.STEPS) == STEPS
