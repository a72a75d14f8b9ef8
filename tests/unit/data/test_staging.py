"""Staging to a folder: what ends up there, and what never does."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scones.data import read_dataset, stage
from scones.data.dataset import COLUMNS
from scones.errors import DataError, UsageError

Make = Callable[..., Path]
SplitOf = Callable[[int, int, str], dict[bytes, Any]]


def stage_to(to: Path, archive: Path | str, **options: Any) -> Any:
    return stage(str(archive), to, cache_dir=to.parent / "cache", **options)


def hash_tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_stages_classes_in_the_order_given(make_archive: Make, split_of: SplitOf, tmp_path: Path) -> None:
    dataset = stage_to(tmp_path / "set", make_archive(), classes=("pickup_truck", "apple"))
    assert dataset.counts() == {
        "train": {"pickup_truck": 18, "apple": 18},
        "validation": {"pickup_truck": 2, "apple": 2},
        "test": {"pickup_truck": 5, "apple": 5},
    }
    assert dataset == read_dataset(tmp_path / "set")
    assert dataset == read_dataset(tmp_path / "set" / "dataset.json")
    truck = next(image for image in dataset.select("test") if image.class_name == "pickup_truck")
    assert truck.label == 0
    source = split_of(2, 5, "test")
    row = source[b"data"][source[b"filenames"].index(truck.file.encode())]
    with Image.open(dataset.path(truck)) as image:
        assert np.array_equal(np.asarray(image), row.reshape(3, 32, 32).transpose(1, 2, 0))
    assert hashlib.sha256(dataset.path(truck).read_bytes()).hexdigest() == truck.sha256


def test_all_classes_of_an_archive(make_archive: Make, tmp_path: Path) -> None:
    classes = ("apple", "bicycle", "motorcycle", "pickup_truck")
    dataset = stage_to(tmp_path / "set", make_archive(), classes=classes)
    assert len(dataset.images) == 100
    assert [dict.fromkeys(counts.values()) for counts in dataset.counts().values()] == [
        {18: None},
        {2: None},
        {5: None},
    ]


def test_the_same_bytes_again_and_for_another_seed_another_split(make_archive: Make, tmp_path: Path) -> None:
    archive = make_archive()
    first, again, other = (
        stage_to(tmp_path / name, archive, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert hash_tree(tmp_path / "a") == hash_tree(tmp_path / "b")
    assert first.digest == again.digest != other.digest
    assert [i.file for i in first.select("test")] == [i.file for i in other.select("test")]
    assert [i.file for i in first.select("validation")] != [i.file for i in other.select("validation")]


def test_staging_replaces_what_was_staged(make_archive: Make, tmp_path: Path) -> None:
    archive = make_archive()
    stage_to(tmp_path / "set", archive, classes=("apple", "bicycle", "motorcycle"))
    stage_to(tmp_path / "set", archive)
    stage_to(tmp_path / "new", archive)
    assert hash_tree(tmp_path / "set") == hash_tree(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar.tar.gz", "new", "set"]


def test_near_duplicates_stay_on_one_side(make_archive: Make, split_of: SplitOf, tmp_path: Path) -> None:
    train, test = split_of(1, 20, "train"), split_of(2, 5, "test")
    for index in range(1, 41, 4):  # ten bicycles, each with a brighter copy of the next bicycle's picture
        train[b"data"][index + 40] = np.clip(train[b"data"][index].astype(int) + 9, 0, 255)
    test[b"data"][1] = train[b"data"][1].reshape(3, 32, 32)[:, :, ::-1].reshape(-1)  # and one mirrored
    dataset = stage_to(tmp_path / "set", make_archive(train=train, test=test))
    by_file = {image.file: image for image in dataset.images}
    for index in range(1, 41, 4):
        one, two = by_file[f"train_{index:04d}.png"], by_file[f"train_{index + 40:04d}.png"]
        assert one.group == two.group
        assert one.split == two.split
    assert [image.file for image in dataset.twins_in_training()] == ["test_0001.png"]
    assert dataset.counts()["validation"] == {"bicycle": 2, "motorcycle": 2}


def test_names_that_need_quotes_in_a_table(make_archive: Make, split_of: SplitOf, tmp_path: Path) -> None:
    names = [f'a "{number}", b.png'.encode() for number in range(80)]
    train = split_of(1, 20, "train") | {b"filenames": names}
    dataset = stage_to(tmp_path / "set", make_archive(train=train))
    assert dataset == read_dataset(tmp_path / "set")
    expected = io.StringIO(newline="")
    csv.writer(expected, lineterminator="\n").writerows([COLUMNS, *dataset.images])
    assert (tmp_path / "set" / "images.csv").read_bytes() == expected.getvalue().encode()


RUN = "import sys; from pathlib import Path; from scones.data import stage; "
RUN += "stage(sys.argv[1], sys.argv[2], cache_dir=Path(sys.argv[3]))"


def test_killed_at_any_time_and_started_again(make_archive: Make, split_of: SplitOf, tmp_path: Path) -> None:
    archive = make_archive(train=split_of(1, 500, "train"), test=split_of(2, 100, "test"))
    stage_to(tmp_path / "expected", archive)
    expected = hash_tree(tmp_path / "expected")
    command = [sys.executable, "-c", RUN, str(archive), str(tmp_path / "set"), str(tmp_path / "cache")]
    chance = random.Random(7)
    for _ in range(4):
        process = subprocess.Popen(command)
        wait_for_staging(tmp_path / ".set.staging", process)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.wait()
        assert not (tmp_path / "set").exists() or hash_tree(tmp_path / "set") == expected
    subprocess.run(command, check=True)
    assert hash_tree(tmp_path / "set") == expected
    assert not list(tmp_path.glob(".set*"))


def wait_for_staging(folder: Path, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not folder.exists():
        time.sleep(0.002)


def test_killed_between_the_two_renames(make_archive: Make, tmp_path: Path) -> None:
    stage_to(tmp_path / "set", make_archive())
    before = hash_tree(tmp_path / "set")
    os.rename(tmp_path / "set", tmp_path / ".set.replaced")
    with pytest.raises(DataError, match="too few different images"):
        stage_to(tmp_path / "set", make_archive("small.tar.gz", test=pickle.dumps(make_empty())))
    assert hash_tree(tmp_path / "set") == before


def make_empty() -> dict[bytes, Any]:
    return {b"data": np.zeros((0, 3072), np.uint8), b"fine_labels": [], b"filenames": []}


def test_two_at_once_to_one_folder(make_archive: Make, tmp_path: Path) -> None:
    archive = make_archive()
    stage_to(tmp_path / "expected", archive)
    command = [sys.executable, "-c", RUN, str(archive), str(tmp_path / "set"), str(tmp_path / "cache")]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert hash_tree(tmp_path / "set") == hash_tree(tmp_path / "expected")
    assert not list(tmp_path.glob(".set*"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda split: split | {b"fine_labels": [0, 1] * 40}, "no image of class 'motorcycle'|none is left"),
        (
            lambda split: split | {b"filenames": [b"same.png"] * 80},
            "Two train images have the file name 'same.png'",
        ),
        (lambda split: split | {b"filenames": [b"../up.png"] * 80}, "cannot be the name of an image file"),
        (lambda split: split | {b"filenames": [b"a\tb.png"] * 80}, "cannot be the name of an image file"),
        (lambda split: split | {b"filenames": [b""] * 80}, "cannot be the name of an image file"),
        (lambda split: split | {b"filenames": [b"x" * 300] * 80}, "cannot be the name of an image file"),
        (lambda split: split | {b"filenames": [b"%d/\xff.png" % n for n in range(80)]}, "cannot be the name"),
    ],
)
def test_bad_data_leaves_the_old_dataset_alone(
    make_archive: Make, split_of: SplitOf, tmp_path: Path, change: Any, expected: str
) -> None:
    stage_to(tmp_path / "set", make_archive("good.tar.gz"))
    before = hash_tree(tmp_path / "set")
    bad = make_archive(train=pickle.dumps(change(split_of(1, 20, "train"))))
    for target in ("set", "fresh"):
        with pytest.raises(DataError, match=expected):
            stage_to(tmp_path / target, bad)
    assert hash_tree(tmp_path / "set") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar.tar.gz", "good.tar.gz", "set"]


@pytest.mark.parametrize(
    ("classes", "expected", "hint"),
    [
        (("bicycle", "motorcicle"), "no class 'motorcicle'", "Did you mean motorcycle"),
        (("bicycle", "zzzz"), "no class 'zzzz'", "There are: apple, bicycle"),
        (("bicycle",), "two or more", ""),
        ((), "two or more", ""),
        (("bicycle", "bicycle"), "each once", ""),
    ],
)
def test_bad_classes(
    make_archive: Make, tmp_path: Path, classes: tuple[str, ...], expected: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=expected) as caught:
        stage_to(tmp_path / "set", make_archive(), classes=classes)
    assert hint in caught.value.hint
    assert not (tmp_path / "set").exists()


def test_a_folder_that_holds_something_else(make_archive: Make, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.txt.*no part of a dataset"):
        stage_to(tmp_path / "mine", make_archive())
    with pytest.raises(DataError, match="is a file"):
        stage_to(tmp_path / "mine" / "thesis.txt", make_archive())
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


LIMITED = "import os, resource, sys, scones.cli.data, scones.data.staging; "
FULL_DISK = LIMITED + "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)); "
NO_PERMISSION = LIMITED + "os.geteuid() or os.setuid(65534); "
STAGE = "from scones.cli import main; main(['data', 'stage', '--source', sys.argv[1], '--to', sys.argv[2]])"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may read, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    ("prelude", "expected"), [(FULL_DISK, "File too large"), (NO_PERMISSION, "Permission denied")]
)
def test_a_target_that_cannot_be_written(
    make_archive: Make, open_folder: Path, prelude: str, expected: str
) -> None:
    archive = open_folder / "cifar.tar.gz"
    shutil.copyfile(make_archive(), archive)
    locked = open_folder / "locked"
    locked.mkdir(mode=0o755 if prelude == FULL_DISK else 0o555)
    done = subprocess.run(
        [sys.executable, "-c", prelude + STAGE, str(archive), str(locked / "set")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HOME": str(open_folder)},
        cwd=open_folder,
    )
    assert done.returncode == 1, done.stderr
    assert expected in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert list(locked.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda folder: (folder / "dataset.json").unlink(), "holds no staged dataset"),
        (lambda folder: (folder / "dataset.json").write_text("{"), "is damaged"),
        (lambda folder: (folder / "dataset.json").write_text('{"version": 1}'), "is damaged"),
        (lambda folder: (folder / "images.csv").unlink(), "cannot be read"),
        (lambda folder: (folder / "images.csv").write_text("split\n"), "changed after staging"),
    ],
)
def test_reading_what_is_no_dataset(make_archive: Make, tmp_path: Path, damage: Any, expected: str) -> None:
    stage_to(tmp_path / "set", make_archive())
    damage(tmp_path / "set")
    with pytest.raises(DataError, match=expected):
        read_dataset(tmp_path / "set")


def test_reading_a_dataset_that_points_elsewhere(make_archive: Make, tmp_path: Path) -> None:
    stage_to(tmp_path / "set", make_archive())
    table, commit = tmp_path / "set" / "images.csv", tmp_path / "set" / "dataset.json"
    before = table.read_bytes()
    table.write_bytes(before.replace(b"test_0001.png", b"../../../etc/passwd"))
    digests = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in (before, table.read_bytes())]
    commit.write_text(commit.read_text().replace(*digests))
    with pytest.raises(DataError, match="is no image of a split"):
        read_dataset(tmp_path / "set")


def test_a_target_that_is_a_link(make_archive: Make, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    stage_to(tmp_path / "link", make_archive())
    stage_to(tmp_path / "link", make_archive())
    assert (tmp_path / "link").is_symlink()
    assert len(read_dataset(tmp_path / "real").images) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar.tar.gz", "link", "real"]


def test_reading_another_version(make_archive: Make, tmp_path: Path) -> None:
    stage_to(tmp_path / "set", make_archive())
    commit = json.loads((tmp_path / "set" / "dataset.json").read_text())
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(commit | {"version": 2}))
    with pytest.raises(DataError, match="has version 2"):
        read_dataset(tmp_path / "set")


def test_dataset_json_names_no_path_of_this_machine(make_archive: Make, tmp_path: Path) -> None:
    stage_to(tmp_path / "set", make_archive())
    text = (tmp_path / "set" / "dataset.json").read_text()
    assert str(tmp_path) not in text
    assert json.loads(text)["source"]["name"] == "cifar.tar.gz"
