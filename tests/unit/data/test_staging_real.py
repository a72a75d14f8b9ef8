"""The real two-wheelers archive, staged; skipped where it is not at hand."""

from __future__ import annotations

import csv
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scones.data import read_dataset, stage

ARCHIVE = Path(__file__).parents[3] / ".." / "shared" / "data" / "cifar-100-python-two-wheelers.tar.gz"
pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason="the real archive is not in ../shared/data")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    stage(str(ARCHIVE), folder / "set", cache_dir=folder / "cache")
    return folder / "set"


def load_rows() -> dict[str, tuple[str, int, np.ndarray]]:
    rows = {}
    with tarfile.open(ARCHIVE) as tar:
        for split in ("train", "test"):
            stream = tar.extractfile(f"cifar-100-python/{split}")
            assert stream is not None
            loaded = pickle.load(
                stream, encoding="bytes"
            )  # this file is known: the test's independent reading
            pixels = loaded[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            for name, label, image in zip(loaded[b"filenames"], loaded[b"fine_labels"], pixels, strict=True):
                rows[name.decode()] = (split, {8: 0, 48: 1}[label], image)
    return rows


def test_every_image_equals_the_archive(staged: Path) -> None:
    rows = load_rows()
    dataset = read_dataset(staged)
    assert len(dataset.images) == len(rows) == 1200
    for image in dataset.images:
        split, label, pixels = rows[image.file]
        assert (image.split == "test") == (split == "test")
        assert image.label == label
        with Image.open(dataset.path(image)) as opened:
            assert opened.format == "PNG"
            assert np.array_equal(np.asarray(opened), pixels)


def test_counts(staged: Path) -> None:
    counts = read_dataset(staged).counts()
    assert counts["test"] == {"bicycle": 100, "motorcycle": 100}
    assert {name: counts["train"][name] + counts["validation"][name] for name in counts["train"]} == {
        "bicycle": 500,
        "motorcycle": 500,
    }


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_manifests_are_sagemakers(staged: Path, split: str) -> None:
    with (staged / f"{split}.lst").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert [int(index) for index, _, _ in rows] == list(range(len(rows)))
    assert {label for _, label, _ in rows} == {"0", "1"}
    assert sorted(path for _, _, path in rows) == sorted(path.name for path in (staged / split).iterdir())
