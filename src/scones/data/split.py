"""Divides images into splits: stratified by class, seeded, near-duplicates kept on one side."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence


def choose_part(
    names: Sequence[str], labels: Sequence[int], groups: Sequence[int], fraction: float, seed: int
) -> list[bool]:
    """Which images to set aside: `fraction` of each class, whole groups only.

    Groups are tried in the order of a hash of seed and name, so that the choice depends on nothing else: not
    on the order of the images, the platform or a library's generator; adding images moves few others. A group
    is taken if it fits into every class's share. Each class of two groups or more gets at least one image and
    keeps at least one.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    shares = {label: max(1, round(fraction * count)) for label, count in Counter(labels).items()}
    chosen = [False] * len(names)
    for indexes in sorted(members.values(), key=lambda indexes: _rank(names, indexes, seed)):
        if not any(shares.values()):
            break
        need = [labels[index] for index in indexes]
        if all(shares[label] >= need.count(label) for label in need):
            for index in indexes:
                chosen[index] = True
                shares[labels[index]] -= 1
    return chosen


def _rank(names: Sequence[str], indexes: Sequence[int], seed: int) -> bytes:
    first = min(map(names.__getitem__, indexes))
    return hashlib.sha256(f"{seed}:{first}".encode()).digest()
