"""Stages data: from a source to a folder or an S3 prefix that training can start from."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

from scones import __version__
from scones.data.collection import Collection, Progress, check_collection, ignore_progress
from scones.data.dataset import PARTS, SPLITS, Dataset, Image, write_commit, write_manifests
from scones.data.locking import hold_lock
from scones.data.sources import collect
from scones.data.split import choose_part
from scones.data.twins import find_twins, group_pairs
from scones.errors import DataError, SconesError

VALIDATION = 0.1  # of what is for training
TEST = 0.2  # of a source that has no test split
BATCH = 32  # images read at a time


def stage(
    source: str,
    to: Path | str,
    *,
    cache_dir: Path,
    classes: Sequence[str] = ("bicycle", "motorcycle"),
    seed: int = 0,
    sha256: str = "",
    skip_unreadable: bool = False,
    progress: Progress = ignore_progress,
) -> Dataset:
    """Stage `classes` of `source` to a folder or an s3:// prefix, replacing the dataset that is there.

    `source` is auto, cifar100, sample, folder:DIR, a path or a URL; `sha256` is what the archive must hash to
    (known for the official one). What is at the target stays as it was until the new dataset is complete; the
    same source, classes and seed give the same bytes. Raises UsageError for bad parameters, DataError for bad
    data or a target that cannot be written, CloudError for what S3 refuses.
    """
    collection = collect(
        source,
        classes,
        seed=seed,
        cache_dir=cache_dir,
        sha256=sha256,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    check_collection(collection)
    if str(to).startswith("s3://"):
        from scones.data.upload import upload  # boto3 is slow to import, and only needed here

        with tempfile.TemporaryDirectory(prefix="scones-stage-") as folder:
            with _translate_os_errors(Path(folder)):
                dataset = _write(collection, Path(folder), seed, progress)
            return upload(dataset, str(to), progress)
    target = Path(to).expanduser().resolve()  # of a link, the folder it leads to is replaced
    with _translate_os_errors(target), _replace_folder(target) as folder:
        dataset = _write(collection, folder, seed, progress)
    return replace(dataset, location=str(to))


def _write(collection: Collection, folder: Path, seed: int, progress: Progress) -> Dataset:
    """Write a whole dataset into an empty folder, dataset.json last.

    One thing after the other: side by side, the search of near-duplicates and the writing of small files take
    three times as long, because they wait for Python's one lock a thousand times.
    """
    groups = _group(collection, progress)
    splits = _split(collection, groups, seed)
    digests = _write_files(collection, folder, splits, progress)
    images = _list_images(collection, splits, groups, digests)
    digest = write_manifests(folder, images)
    dataset = Dataset(str(folder), collection.source, digest, collection.classes, seed, __version__, images)
    write_commit(folder, dataset)
    return dataset


def _write_files(collection: Collection, folder: Path, splits: list[str], progress: Progress) -> list[str]:
    """Write every image; returns their SHA-256."""
    count, digests = len(collection.names), []
    with ExitStack() as stack:
        folders = {split: _make_folder(folder / split, stack) for split in SPLITS}
        for start in range(0, count, BATCH):
            for index, content in enumerate(collection.read(start, min(start + BATCH, count)), start):
                _write_file(collection.names[index], folders[splits[index]], content)
                digests.append(hashlib.sha256(content).hexdigest())
            progress("Writing images", len(digests), count)
    return digests


def _make_folder(path: Path, stack: ExitStack) -> int:
    """Make a folder and open it, for writing into it without looking for it again each time."""
    path.mkdir()
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, handle)
    return handle


def _write_file(name: str, folder: int, content: bytes) -> None:
    """Write a new file; several times as fast as open() for thumbnails."""
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=folder)
    try:
        while content:
            content = content[os.write(handle, content) :]
    finally:
        os.close(handle)


def _list_images(
    collection: Collection, splits: list[str], groups: list[int], digests: list[str]
) -> tuple[Image, ...]:
    """The rows of images.csv, by split and file name; groups are numbered as they come."""
    ranks, labels = map(SPLITS.index, splits), collection.labels.tolist()
    rows = zip(ranks, collection.names, labels, digests, collection.sizes, groups, strict=True)
    number: dict[int, int] = {}
    return tuple(
        Image(
            split=SPLITS[rank],
            label=label,
            class_name=collection.classes[label],
            file=name,
            sha256=digest,
            width=width,
            height=height,
            group=number.setdefault(group, len(number)),
        )
        for rank, name, label, digest, (width, height), group in sorted(rows)
    )


def _group(collection: Collection, progress: Progress) -> list[int]:
    count = len(collection.names)
    if not collection.thumbnails:
        return list(range(count))
    return group_pairs(count, find_twins(collection.thumbnails, progress))


def _split(collection: Collection, groups: list[int], seed: int) -> list[str]:
    """train, validation or test for each image; raises DataError if a class is missing in one of them."""
    splits = list(collection.splits)
    if "" in splits:
        splits = _set_aside(collection, splits, groups, "test", TEST, seed)
    splits = _set_aside(collection, splits, groups, "validation", VALIDATION, seed)
    found = set(zip(splits, collection.labels.tolist(), strict=True))
    for split, (label, name) in product(SPLITS, enumerate(collection.classes)):
        if (split, label) not in found:
            raise DataError(
                f"Class {name!r} has too few different images: none is left for {split}.",
                "Add images of this class, or leave it out.",
            )
    return splits


def _set_aside(
    collection: Collection, splits: list[str], groups: list[int], name: str, fraction: float, seed: int
) -> list[str]:
    """Call `fraction` of what is not test `name`, and the rest train."""
    left = [index for index, split in enumerate(splits) if split != "test"]
    labels = collection.labels.tolist()
    chosen = choose_part(
        [collection.names[i] for i in left],
        [labels[i] for i in left],
        [groups[i] for i in left],
        fraction,
        seed,
    )
    result = list(splits)
    for index, taken in zip(left, chosen, strict=True):
        result[index] = name if taken else "train"
    return result


@contextmanager
def _replace_folder(target: Path) -> Iterator[Path]:
    """A new folder beside `target` to write into, which takes its place when all went well."""
    _check_target(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (target.with_name(f".{target.name}.{state}") for state in ("staging", "replaced"))
    with hold_lock(target.with_name(f".{target.name}.lock")):
        if old.exists() and not target.exists():  # killed between the two renames below
            os.rename(old, target)
        for left_over in (fresh, old):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh.mkdir()
        try:
            yield fresh
            if target.exists():
                os.rename(target, old)
            os.rename(fresh, target)
        finally:
            for left_over in (fresh, old):
                shutil.rmtree(left_over, ignore_errors=True)


def _check_target(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file; a dataset is a folder.", "Name another folder with --to.")
    alien = (
        sorted(entry.name for entry in target.iterdir() if entry.name not in PARTS) if target.exists() else []
    )
    if alien:
        raise DataError(
            f"{target} holds {alien[0]!r}, which is no part of a dataset; it would be lost.",
            "Name a new or empty folder with --to.",
        )


@contextmanager
def _translate_os_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except SconesError:
        raise
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}.") from error
