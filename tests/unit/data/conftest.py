"""Small archives in CIFAR-100's layout, made by the tests themselves."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CLASSES = ["apple", "bicycle", "motorcycle", "pickup_truck"]
Members = list[tuple[str | tarfile.TarInfo, bytes]]


def make_split(seed: int, per_class: int, prefix: str) -> dict[bytes, Any]:
    """Smooth random pictures, `per_class` of each class, none like another."""
    count = per_class * len(CLASSES)
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    return {
        b"data": coarse.repeat(4, axis=2).repeat(4, axis=3).reshape(count, 3072),
        b"fine_labels": [index % len(CLASSES) for index in range(count)],
        b"coarse_labels": [0] * count,
        b"filenames": [f"{prefix}_{index:04d}.png".encode() for index in range(count)],
        b"batch_label": b"one batch",
    }


def make_members(**changes: Any) -> Members:
    """What a right archive holds; `changes` replace meta, train or test."""
    parts = {
        "meta": {b"fine_label_names": [name.encode() for name in CLASSES]},
        "train": make_split(1, 20, "train"),
        "test": make_split(2, 5, "test"),
        **changes,
    }
    return [
        (f"cifar-100-python/{name}", part if isinstance(part, bytes) else pickle.dumps(part, protocol=2))
        for name, part in parts.items()
        if part is not None
    ]


def write_tar(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            if info.isreg():
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def make_archive(tmp_path: Path) -> Callable[..., Path]:
    """Write an archive; keyword arguments replace its members, `extra` adds some."""

    def make(name: str = "cifar.tar.gz", extra: Members | None = None, **changes: Any) -> Path:
        return write_tar(tmp_path / name, make_members(**changes) + (extra or []))

    return make


@pytest.fixture
def split_of() -> Callable[[int, int, str], dict[bytes, Any]]:
    return make_split
