"""Reads pictures and labels for training and evaluation: a staged directory, or SageMaker's channels.

A staged directory is what `scones data stage` writes: `dataset.json` (the commit point), `images.csv`, one
`SPLIT.lst` (index, label, relative path; tab-separated, as SageMaker's built-in image classification reads
it) and one folder for each split.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.errors import DataError
from scones.model.pixels import SIZE, decode, resize

DATASET_VERSION = 1
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


@dataclass(frozen=True)
class Split:
    """Pictures as the network sees them, (n, 160, 160, 3) bytes, their labels (n,) and files."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    files: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """Splits by name (`train`, `validation`, `test`; the last two may be absent) and where they come from."""

    classes: tuple[str, ...]
    splits: dict[str, Split]
    digest: str
    source: dict[str, Any]
    twins: frozenset[str] = frozenset()  # names of test files with a near-duplicate in training


def load_staged(place: Path, splits: Sequence[str] = ("train", "validation", "test")) -> Dataset:
    """The staged dataset in directory `place` (or whose dataset.json `place` is).

    Raises DataError when it is missing, incomplete, of another version, or holds a damaged picture.
    """
    folder = place.parent if place.name == "dataset.json" else place
    manifest = _read_json(folder / "dataset.json")
    if manifest.get("version") != DATASET_VERSION:
        raise DataError(
            f"{folder / 'dataset.json'} has version {manifest.get('version')!r}, not {DATASET_VERSION}.",
            "Stage the data again: scones data stage",
        )
    classes = tuple(manifest["classes"])
    loaded = {
        name: read_split(folder / name, read_list(folder / f"{name}.lst"), len(classes))
        for name in splits
        if sum(manifest["counts"].get(name, {}).values())
    }
    return Dataset(
        classes, loaded, manifest["digest"], manifest["source"], _find_twins(folder / "images.csv")
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"There is no staged dataset: {path} is missing.", "Stage it: scones data stage"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.", "Stage the data again: scones data stage"
        ) from error
    if not isinstance(value, dict) or not {"classes", "counts", "digest", "source"} <= value.keys():
        raise DataError(
            f"{path} lacks classes, counts, digest or source.", "Stage the data again: scones data stage"
        )
    return value


def _find_twins(table: Path) -> frozenset[str]:
    """Names of the test files whose near-duplicate group also occurs in training or validation."""
    if not table.is_file():
        return frozenset()
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    seen = {row["group"] for row in rows if row["split"] != "test" and row.get("group")}
    return frozenset(
        Path(row["file"]).name for row in rows if row["split"] == "test" and row.get("group") in seen
    )


def read_list(path: Path) -> list[tuple[int, str]]:
    """(label, relative path) of each line of a SageMaker `.lst` file; DataError names the first bad line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The manifest {path} cannot be read: {error}.") from error
    entries, seen = [], set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match line.split("\t"):
            case [index, label, file] if label.strip().replace(".0", "").isdecimal() and index not in seen:
                seen.add(index)
                entries.append((int(float(label)), file.strip()))
            case _:
                raise DataError(
                    f"{path}, line {number}: {line[:80]!r} is not 'unique index<TAB>label<TAB>relative path'."
                )
    return entries


def list_folders(folder: Path, classes: Sequence[str] = ()) -> tuple[tuple[str, ...], list[tuple[int, str]]]:
    """Class names and (label, relative path) entries of a channel with one sub-folder a class."""
    names = tuple(classes) or tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
    entries = [
        (label, str(path.relative_to(folder)))
        for label, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    return names, entries


def read_split(folder: Path, entries: Sequence[tuple[int, str]], classes: int) -> Split:
    """Decode and resize every entry of one channel.

    Raises DataError for an empty channel, labels outside 0..classes-1, a path that leaves the folder, and
    files that are missing or no pictures: all of them counted, the first three named.
    """
    if not entries:
        raise DataError(f"The channel {folder.name!r} holds no pictures.", f"Put pictures into {folder}.")
    wrong = Counter(label for label, _ in entries if not 0 <= label < classes)
    if wrong:
        raise DataError(
            f"The channel {folder.name!r} has the label {min(wrong)}; "
            f"with {classes} classes labels are 0 to {classes - 1}."
        )
    files = tuple(_resolve(folder, name) for _, name in entries)
    pixels = np.empty((len(files), SIZE, SIZE, 3), np.uint8)
    with ThreadPoolExecutor() as pool:
        problems = [problem for problem in pool.map(_read_into, pixels, files) if problem]
    if problems:
        raise DataError(
            f"{len(problems)} of {len(files)} pictures of the channel {folder.name!r} cannot be used: "
            + "; ".join(problems[:3])
            + ("; …" if len(problems) > 3 else ""),
            "Remove or replace them and stage the data again.",
        )
    return Split(pixels, np.array([label for label, _ in entries], np.int64), files)


def _resolve(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"The manifest entry {name!r} leads out of {folder}.")
    return path


def _read_into(place: NDArray[np.uint8], path: Path) -> str:
    """Fill `place` with one picture; returns what is wrong with it, or nothing."""
    try:
        place[:] = np.rint(resize(decode(path.read_bytes())))
    except DataError as error:
        return f"{path.name}: {error.message}"
    except OSError as error:
        return f"{path.name}: {error.strerror or error}"
    return ""


def check_classes(split: Split, classes: Sequence[str], channel: str) -> None:
    """Raises DataError unless there are at least two classes and each has at least two pictures."""
    counts = np.bincount(split.labels, minlength=len(classes))
    if len(classes) < 2:
        raise DataError(
            f"The channel {channel!r} has one class only ({classes[0]!r}); at least two are needed."
        )
    for name, count in zip(classes, counts, strict=True):
        if count < 2:
            raise DataError(
                f"The class {name!r} has {count} pictures in the channel {channel!r}; at least 2 are needed."
            )


def digest_files(files: Sequence[Path], labels: Sequence[int]) -> str:
    """SHA-256 over names, labels and contents, for data that carries no digest of its own."""
    total = hashlib.sha256()
    for path, label in zip(files, labels, strict=True):
        total.update(f"{path.name}\t{label}\t".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
