"""A staged dataset on disk: what is written, and reading it back.

dataset.json                            the commit point: a folder without it is no dataset
images.csv                              split,label,class,file,sha256,width,height,group
train.lst validation.lst test.lst       SageMaker's manifests: index \\t label \\t path within the channel
train/ validation/ test/                the images
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from scones.data.collection import FILE_NAME
from scones.errors import DataError

VERSION = 1
SPLITS = ("train", "validation", "test")
COMMIT = "dataset.json"
TABLE = "images.csv"
# The entries of a dataset's folder.
PARTS = frozenset({COMMIT, TABLE, *SPLITS, *(f"{split}.lst" for split in SPLITS)})
_SPECIAL = re.compile(r'[",\r\n]')
COLUMNS = ("split", "label", "class", "file", "sha256", "width", "height", "group")


class Image(NamedTuple):
    """One row of images.csv. `file` is the name within the split's folder.

    Images with the same `group` are near-duplicates of each other.
    """

    split: str
    label: int
    class_name: str
    file: str
    sha256: str
    width: int
    height: int
    group: int

    @property
    def key(self) -> str:
        """Path within the dataset."""
        return f"{self.split}/{self.file}"


@dataclass(frozen=True)
class Dataset:
    """A staged dataset; `location` is its folder, or its s3:// prefix."""

    location: str
    source: dict[str, Any]
    digest: str
    classes: tuple[str, ...]
    seed: int
    code_version: str
    images: tuple[Image, ...]

    def select(self, split: str) -> list[Image]:
        """The images of one split, sorted by file name."""
        return [image for image in self.images if image.split == split]

    def path(self, image: Image) -> Path:
        """Where an image of a local dataset lies."""
        return Path(self.location) / image.split / image.file

    def counts(self) -> dict[str, dict[str, int]]:
        """Images by split and class."""
        found = Counter((image.split, image.class_name) for image in self.images)
        return {split: {name: found[split, name] for name in self.classes} for split in SPLITS}

    def totals(self) -> dict[str, int]:
        """Images by split."""
        return {split: len(self.select(split)) for split in SPLITS}

    def twins_in_training(self) -> list[Image]:
        """Test images of which a near-duplicate is in train or validation."""
        learned = {image.group for image in self.images if image.split != "test"}
        return [image for image in self.select("test") if image.group in learned]


def describe_commit(dataset: Dataset) -> dict[str, Any]:
    """What dataset.json holds."""
    return {
        "version": VERSION,
        "source": dataset.source,
        "digest": dataset.digest,
        "classes": list(dataset.classes),
        "counts": dataset.counts(),
        "seed": dataset.seed,
        "code_version": dataset.code_version,
    }


def write_manifests(folder: Path, images: Sequence[Image]) -> str:
    """Write images.csv and the three .lst files; returns the dataset's digest ("sha256:…" of images.csv)."""
    for split in SPLITS:
        chosen = [image for image in images if image.split == split]
        lines = [f"{index}\t{image.label}\t{image.file}\n" for index, image in enumerate(chosen)]
        (folder / f"{split}.lst").write_text("".join(lines), encoding="utf-8", newline="\n")
    rows = [
        f"{split},{label},{_quote(name)},{_quote(file)},{sha256},{width},{height},{group}\n"
        for split, label, name, file, sha256, width, height, group in images
    ]
    table = "".join([",".join(COLUMNS), "\n", *rows]).encode()
    (folder / TABLE).write_bytes(table)
    return _digest(table)


def _quote(text: str) -> str:
    """A text as csv's writer writes it, which for the whole table takes five times as long."""
    return '"{}"'.format(text.replace('"', '""')) if _SPECIAL.search(text) else text


def write_commit(folder: Path, dataset: Dataset) -> None:
    """Write dataset.json, which makes the folder a dataset."""
    text = json.dumps(describe_commit(dataset), indent=2, ensure_ascii=False) + "\n"
    (folder / COMMIT).write_text(text, encoding="utf-8")


def read_dataset(place: Path | str) -> Dataset:
    """Read the dataset in a folder, or the one a dataset.json belongs to; image files are not opened.

    Raises DataError if there is none, or if its table is not the one that was committed.
    """
    folder = Path(place).parent if Path(place).name == COMMIT else Path(place)
    if not (folder / COMMIT).is_file():
        raise DataError(f"{folder} holds no staged dataset.", "Stage one: scones data stage --to DIR.")
    try:
        commit = json.loads((folder / COMMIT).read_text(encoding="utf-8"))
        table = (folder / TABLE).read_bytes()
        if commit["version"] != VERSION:
            raise DataError(f"{folder / COMMIT} has version {commit['version']}; this code reads {VERSION}.")
        if _digest(table) != commit["digest"]:
            raise DataError(f"{folder / TABLE} was changed after staging.", "Stage the data again.")
        return Dataset(
            location=str(folder),
            source=commit["source"],
            digest=commit["digest"],
            classes=tuple(commit["classes"]),
            seed=commit["seed"],
            code_version=commit["code_version"],
            images=_read_table(table),
        )
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / COMMIT} is damaged: {error!r}.", "Stage the data again.") from error


def _read_table(table: bytes) -> tuple[Image, ...]:
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8"), newline="")))
    strange = [
        row["file"] for row in rows if row["split"] not in SPLITS or not FILE_NAME.fullmatch(row["file"])
    ]
    if strange:
        raise ValueError(f"{strange[0]!r} is no image of a split")
    return tuple(
        Image(
            split=row["split"],
            label=int(row["label"]),
            class_name=row["class"],
            file=row["file"],
            sha256=row["sha256"],
            width=int(row["width"]),
            height=int(row["height"]),
            group=int(row["group"]),
        )
        for row in rows
    )


def _digest(table: bytes) -> str:
    return f"sha256:{hashlib.sha256(table).hexdigest()}"
