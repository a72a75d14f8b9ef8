"""`scones data` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scones.cli import main
from scones.data import read_dataset, sources
from scones.data.download import Official

Make = Callable[..., Path]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty directory; returns exit code, stdout and stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SCONES_CACHE_DIR", str(tmp_path / "cache"))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main(["data", *arguments])
        out, err = capsys.readouterr()
        return int(done.value.code or 0), out, " ".join(err.split())

    return run


def test_stage_and_describe(run: Any, make_archive: Make) -> None:
    code, out, err = run("stage", "--source", str(make_archive()), "--json")
    staged = json.loads(out)
    assert (code, staged["location"]) == (0, ".scones/data")
    assert staged["counts"]["train"] == {"bicycle": 18, "motorcycle": 18}
    assert "Staged to .scones/data" in err
    assert "Not CIFAR-100" not in err
    code, out, err = run("describe", "--sheet", "sheet.png", "--json")
    description = json.loads(out)
    assert code == 0
    assert {key: staged[key] for key in staged} == {key: description[key] for key in staged}
    assert description["sizes"]["width"] == {"least": 32, "median": 32, "most": 32}
    assert description["near_duplicates"] == {"groups": [], "test_with_twin_in_training": []}
    assert description["unreadable"] == []
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (12 * 64, 2 * (12 + 4 * 64))
        assert np.asarray(sheet)[12:76, :64].std() > 10  # there is a picture


def test_describe_names_what_was_damaged_since(run: Any, make_archive: Make) -> None:
    run("stage", "--source", str(make_archive()), "--to", "set")
    dataset = read_dataset("set")
    missing, cut, swapped = (dataset.path(image) for image in dataset.images[:3])
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:500])
    swapped.write_bytes(dataset.path(dataset.images[4]).read_bytes())
    code, out, err = run("describe", "set", "--json")
    assert code == 1
    reasons = {Path(entry["file"]).name: entry["reason"] for entry in json.loads(out)["unreadable"]}
    assert reasons.keys() == {missing.name, cut.name, swapped.name}
    assert "No such file" in reasons[missing.name]
    assert reasons[swapped.name] == "is not the file that was staged"
    assert "3 images are damaged" in err
    code, _, err = run("describe", "set")
    assert f"Unreadable: train/{swapped.name} is not the file that was staged" in err


def test_a_sheet_on_a_full_disk(run: Any, make_archive: Make) -> None:
    run("stage", "--source", str(make_archive()), "--to", "set")
    code, _, err = run("describe", "set", "--sheet", "/dev/full")
    assert code == 1
    assert "The contact sheet cannot be made" in err


def test_the_sample_says_what_it_is(run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "CIFAR100", Official("http://127.0.0.1:9/cifar.tar.gz", 1, ""))
    monkeypatch.setattr("scones.data.sample.TRAIN", 20)
    monkeypatch.setattr("scones.data.sample.TEST", 5)
    code, out, err = run("stage", "--to", "one", "--json")
    source = json.loads(out)["source"]
    assert (code, source["kind"]) == (0, "sample")
    for told in (source["note"], err):
        assert "its host did not answer within 5 seconds" in told
        assert "Drawn by code" in told
    assert json.loads(out)["counts"]["test"] == {"bicycle": 5, "motorcycle": 5}
    run("stage", "--source", "sample", "--to", "two")
    run("stage", "--source", "sample", "--to", "three", "--seed", "1")
    one, two, three = (read_dataset(name) for name in ("one", "two", "three"))
    assert one.digest == two.digest
    assert not {image.sha256 for image in one.images} & {image.sha256 for image in three.images}
    assert run("describe", "two")[2].count("Drawn by code") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("stage", "--source", "none.tar.gz"), 1, "There is no archive at none.tar.gz."),
        (("stage", "--source", "sample", "--classes", "bicycle,car"), 2, "The source has no class 'car'."),
        (("stage", "--source", "sample", "--classes", "bicycle"), 2, "give two or more"),
        (("stage", "--seed", "x"), 2, "'x' is not a valid integer"),
        (("stage", "--source", "x.tar.gz", "--sha256", "12"), 2, "'12' is no SHA-256"),
        (("stage", "--source", "sample", "--sha256", "1" * 64), 2, "belongs to an archive"),
        (("stage", "--source", "folder:none"), 1, "There is no folder none."),
        (("stage", "--source", "ftp://host/x"), 1, "There is no archive"),
        (("describe", "nothing"), 1, "nothing holds no staged dataset."),
    ],
)
def test_bad_commands(run: Any, arguments: tuple[str, ...], code: int, told: str) -> None:
    result, out, err = run(*arguments)
    assert (result, out) == (code, "")
    assert told in err
    assert list(Path().iterdir()) == []
