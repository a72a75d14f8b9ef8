"""Staged data is read whole or refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scones.errors import DataError
from scones.model.dataset import check_classes, list_folders, load_staged, read_list, read_split

Stage = Callable[..., Path]
OTHER_VERSION = '{"version": 9, "classes": [], "counts": {}, "digest": "", "source": {}}'


def test_a_staged_directory_is_read(stage: Stage) -> None:
    folder = stage()
    dataset = load_staged(folder)
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 16,
        "validation": 8,
        "test": 8,
    }
    assert dataset.splits["train"].pixels.shape == (16, 160, 160, 3)
    assert dataset.splits["train"].labels.tolist() == [0, 1] * 8
    assert dataset.twins == {"disc_0.png"}
    assert load_staged(folder / "dataset.json").digest == dataset.digest


def test_a_directory_without_its_commit_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.json is missing") as caught:
        load_staged(tmp_path)
    assert "scones data stage" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "cannot be read"), ("[]", "lacks"), (OTHER_VERSION, "has version 9")],
)
def test_a_bad_commit_point_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match=words):
        load_staged(tmp_path)


def test_bad_pictures_are_counted_and_named(stage: Stage) -> None:
    folder = stage()
    (folder / "train" / "disc_0.png").write_bytes(b"nonsense")
    (folder / "train" / "disc_2.png").unlink()
    with pytest.raises(DataError, match=r"2 of 16 pictures.*disc_0\.png.*disc_2\.png: No such file"):
        load_staged(folder)


@pytest.mark.parametrize("line", ["0\t0", "a\t0\tx.png\ty", "0\tbicycle\tx.png", "0\t-1\tx.png"])
def test_a_bad_manifest_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "train.lst").write_text(f"9\t0\tgood.png\n{line}\n")
    with pytest.raises(DataError, match="line 2"):
        read_list(tmp_path / "train.lst")


def test_a_repeated_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.lst").write_text("0\t0\ta.png\n0\t1\tb.png\n")
    with pytest.raises(DataError, match="line 2"):
        read_list(tmp_path / "train.lst")


def test_labels_outside_the_classes_are_refused(stage: Stage) -> None:
    folder = stage()
    with pytest.raises(DataError, match="has the label 1; with 1 classes"):
        read_split(folder / "train", read_list(folder / "train.lst"), 1)


def test_an_empty_channel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no pictures"):
        read_split(tmp_path, [], 2)


def test_a_manifest_cannot_lead_out_of_its_channel(stage: Stage) -> None:
    folder = stage()
    with pytest.raises(DataError, match="leads out of"):
        read_split(folder / "train", [(0, "../test/disc_0.png")], 2)


def test_one_class_only_is_refused(stage: Stage) -> None:
    split = load_staged(stage()).splits["train"]
    with pytest.raises(DataError, match="one class only"):
        check_classes(type(split)(split.pixels, np.zeros(16, np.int64), split.files), ("disc",), "train")
    with pytest.raises(DataError, match="'stripes' has 0 pictures"):
        check_classes(
            type(split)(split.pixels, np.zeros(16, np.int64), split.files), ("disc", "stripes"), "train"
        )


def test_sub_folders_name_the_classes(tmp_path: Path) -> None:
    for name in ("zebra", "ant"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.PNG").touch()
        (tmp_path / name / "notes.txt").touch()
    assert list_folders(tmp_path) == (("ant", "zebra"), [(0, "ant/a.PNG"), (1, "zebra/a.PNG")])


def test_counts_decide_which_splits_there_are(stage: Stage) -> None:
    folder = stage()
    commit = json.loads((folder / "dataset.json").read_text())
    commit["counts"]["test"] = {"disc": 0, "stripes": 0}
    (folder / "dataset.json").write_text(json.dumps(commit))
    assert set(load_staged(folder).splits) == {"train", "validation"}
