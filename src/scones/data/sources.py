"""Which source a name stands for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scones.data.archive import read_archive
from scones.data.cifar import select_rows
from scones.data.collection import Collection, Progress
from scones.data.download import CIFAR100, Official, fetch_archive, is_reachable
from scones.data.folder import read_folder
from scones.data.sample import draw_sample
from scones.errors import UsageError

SIDE = 32
DECISION_SECONDS = 5.0
UNREACHABLE = "CIFAR-100 is not in the cache, and its host did not answer within 5 seconds."


def collect(
    source: str,
    classes: Sequence[str],
    *,
    seed: int,
    cache_dir: Path,
    sha256: str,
    skip_unreadable: bool,
    progress: Progress,
    official: Official | None = None,
) -> Collection:
    """The pictures of `classes` from auto, cifar100, sample, folder:DIR, a path or a URL.

    auto is CIFAR-100 if it is in the cache or its host answers within 5 seconds, otherwise the drawn sample,
    which says so in its note. Raises UsageError, DataError.
    """
    if sha256 and source.startswith(("auto", "sample", "folder:")):
        raise UsageError("A SHA-256 belongs to an archive.", "Name the archive with --source.")
    note, official = "", official or CIFAR100
    if source == "auto":
        found = official.cached(cache_dir).is_file() or is_reachable(official.url, DECISION_SECONDS)
        source = "cifar100" if found else "sample"
        note = "" if found else UNREACHABLE
    if source == "sample":
        return draw_sample(classes, seed, SIDE, note, progress)
    if source.startswith("folder:"):
        return read_folder(
            Path(source.removeprefix("folder:")).expanduser(), classes, skip_unreadable, progress
        )
    path, description = fetch_archive(source, cache_dir, sha256, progress, official)
    progress("Reading the archive", 0, 0)
    return select_rows(read_archive(path), classes, description)
