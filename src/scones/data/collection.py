"""What every source gives: pictures of chosen classes, before they are split and written."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.errors import DataError, UsageError

# Plain, not hidden, without what separates paths or columns, and short enough for every file system.
FILE_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f]{1,200}")
# What is being done, how much of it is done, and how much there is (0 = not known).
Progress = Callable[[str, int, int], None]


def ignore_progress(what: str, done: int, total: int) -> None:
    """For callers who show none."""


@dataclass(frozen=True)
class Collection:
    """n pictures.

    `splits[i]` is "train", "test", or "" where the source has no splits; `sizes[i]` is (width, height);
    `thumbnails` are (n, 32, 32, 3) uint8, in parts, for the search of near-duplicates; without parts there
    are none to be found; `read(start, stop)` gives the bytes of those image files.
    """

    source: dict[str, Any]
    classes: tuple[str, ...]
    names: list[str]
    labels: NDArray[np.int64]
    splits: list[str]
    sizes: list[tuple[int, int]]
    thumbnails: list[NDArray[np.uint8]]
    read: Callable[[int, int], Iterable[bytes]]


def find_classes(wanted: Sequence[str], known: Sequence[str]) -> list[int]:
    """Positions of the wanted class names in `known`.

    Raises UsageError for fewer than two, repeated or unknown names, with suggestions.
    """
    if len(wanted) < 2 or len(set(wanted)) < len(wanted):
        raise UsageError(f"Classes are {','.join(wanted) or 'none'}; give two or more, each once.")
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f"Did you mean {', '.join(near)}?" if near else f"There are: {', '.join(known)}."
            raise UsageError(f"The source has no class {name!r}.", hint)
    return [list(known).index(name) for name in wanted]


def check_collection(collection: Collection) -> None:
    """Refuse what cannot become a dataset: a class without images, or names that clash or are no file names.

    Raises DataError.
    """
    counts = Counter(collection.labels.tolist())
    empty = [name for label, name in enumerate(collection.classes) if not counts[label]]
    if empty:
        raise DataError(f"There is no image of class {empty[0]!r}.", "Add some, or leave the class out.")
    seen: set[tuple[bool, str]] = set()
    for name, split in zip(collection.names, collection.splits, strict=True):
        if not FILE_NAME.fullmatch(name):
            raise DataError(f"{name!r} cannot be the name of an image file.")
        # Folded, because some file systems do not tell A.png from a.png.
        key = (split == "test", name.casefold())
        if key in seen:
            raise DataError(
                f"Two {split or 'source'} images have the file name {name!r}.", "Rename one of them."
            )
        seen.add(key)
