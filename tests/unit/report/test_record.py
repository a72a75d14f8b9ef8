"""A run that is kept is read back as it was; anything else is refused in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scones.errors import DataError
from scones.report.record import CHECKINS, RUN, load_run, save_run
from synthetic import START, make_run


def test_a_run_is_read_as_it_was_kept(tmp_path: Path) -> None:
    run = replace(make_run(count=5), instances=[(START, 1)])
    save_run(run, tmp_path / "run")
    again = load_run(tmp_path / "run")
    assert again.checkins == run.checkins
    assert (again.summary, again.title, again.threshold) == (run.summary, run.title, run.threshold)
    assert ([*again.facts], [*again.classes]) == ([*run.facts], [*run.classes])
    assert [*again.instances] == [*run.instances]


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no finished run"):
        load_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (RUN, "{", "is damaged"),
        (RUN, "[]", "is damaged"),
        (RUN, '{"version": 1}', "was kept by another version"),
        (CHECKINS, "null\n", "is damaged"),
        (CHECKINS, '{"key": "a"}\n', "is damaged"),
    ],
)
def test_a_damaged_run_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    save_run(make_run(count=5), tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        load_run(tmp_path)
