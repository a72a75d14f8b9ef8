"""A file is there whole or as it was before, with nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scones.errors import DataError
from scones.files import split_address, write_aside, write_text


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_text(path, "first")
    with write_aside(path) as unfinished:
        unfinished.write_text("sec")
        assert path.read_text() == "first"
    assert path.read_text() == "sec"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_text(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "sec\ud800")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_takes_no_file_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/report.html cannot be written: File exists\."):
        write_text(tmp_path / "file" / "report.html", "text")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("s3://bucket/a/b.png", ("bucket", "a/b.png")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
    ],
)
def test_an_address_is_a_bucket_and_a_key(address: str, parts: tuple[str, str]) -> None:
    assert split_address(address) == parts
