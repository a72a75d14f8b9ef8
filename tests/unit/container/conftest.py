"""A job directory as SageMaker lays it out, with two drawn classes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Job = Callable[..., Path]


def draw(label: int, seed: int) -> Image.Image:
    """A bright disc (0) or vertical stripes (1) on a dark ground."""
    random = np.random.default_rng(seed * 2 + label)
    y, x = np.mgrid[0:32, 0:32] / 32 - random.uniform(0.4, 0.6)
    mask = (
        (x**2 + y**2 < random.uniform(0.05, 0.12)) if label == 0 else np.sin(x * random.uniform(25, 40)) > 0
    )
    picture = np.where(mask[..., None], random.uniform(140, 255, 3), random.uniform(0, 110, 3))
    return Image.fromarray(picture.astype(np.uint8))


def lay_out(base: Path, hyperparameters: dict[str, str], listed: bool = False) -> Path:
    """Channels train and validation: in one sub-folder a class, or flat with `.lst` channels."""
    (base / "input" / "config").mkdir(parents=True)
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    for channel, count in (("train", 16), ("validation", 8)):
        lines = []
        for i in range(count):
            name = f"{i}.png" if listed else f"{('disc', 'stripes')[i % 2]}/{i}.png"
            path = base / "input" / "data" / channel / name
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(i % 2, i + 100 * (channel == "train")).save(path)
            lines.append(f"{i}\t{i % 2}\t{name}\n")
        if listed:
            folder = base / "input" / "data" / f"{channel}_lst"
            folder.mkdir()
            (folder / f"{channel}.lst").write_text("".join(lines))
    return base


@pytest.fixture
def job(tmp_path: Path) -> Job:
    def make(listed: bool = False, **hyperparameters: str) -> Path:
        return lay_out(tmp_path / "ml", hyperparameters, listed)

    return make


@dataclass(frozen=True)
class Finished:
    """A job that the container has run to its end."""

    base: Path
    code: int
    output: str
    errors: str


def start(base: Path) -> subprocess.Popen[str]:
    """`train` in a process of its own, with `base` in place of /opt/ml."""
    return subprocess.Popen(
        [sys.executable, "-m", "scones.container", "train"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="session")
def start_job() -> Callable[[Path], subprocess.Popen[str]]:
    return start


@pytest.fixture(scope="session")
def run_job() -> Callable[[Path], Finished]:
    def run(base: Path) -> Finished:
        process = start(base)
        output, errors = process.communicate(timeout=300)
        return Finished(base, process.returncode, output, errors)

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, run_job: Callable[[Path], Finished]) -> Finished:
    """One good job, run once."""
    values = {"epochs": "2", "mini_batch_size": "8", "class_names": "disc,stripes", "seed": "1"}
    return run_job(lay_out(tmp_path_factory.mktemp("job") / "ml", values))
