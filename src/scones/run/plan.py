"""What a run is asked to do, and the names that follow from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from scones.data.collection import Progress, ignore_progress
from scones.settings import Settings

__all__ = ["IMAGE", "Plan", "Progress", "ignore_progress", "make_digest"]


# The account is SageMaker's caller's own: the image is built there. The local SageMaker knows it by its name.
IMAGE = "{account}.dkr.ecr.{region}.amazonaws.com/scones:{version}"
LEAST_ACCURACY = 0.9


@dataclass(frozen=True)
class Plan:
    """Settings and options of one run; `folder` holds what is kept on this machine."""

    settings: Settings
    template: Path
    sha256: str = ""
    hyperparameters: dict[str, str] = field(default_factory=dict)
    least_accuracy: float = LEAST_ACCURACY
    checkins: int = 0
    """Test images to send through the state machine; 0: all of them."""

    @property
    def folder(self) -> Path:
        return self.settings.state_dir / "run"

    @property
    def classes(self) -> tuple[str, ...]:
        return self.settings.class_names

    @property
    def staged(self) -> Path:
        """Where the data is staged: another folder for another source, other classes or another seed."""
        mark = mark_source(self.settings.source)
        return self.folder / "data" / make_digest(mark, self.settings.classes, str(self.settings.seed))

    @property
    def endpoint(self) -> str:
        return f"{self.settings.stack_name}-vehicles"


def mark_source(source: str) -> str:
    """Text that changes with the file, or with any file of the folder, that `source` names."""
    path = Path(source.removeprefix("folder:")).expanduser()
    if source.startswith("folder:") and path.is_dir():
        return f"{path.resolve()}:" + make_digest(*sorted(map(_mark_file, path.rglob("*"))))
    return _mark_file(path.resolve()) if path.is_file() else source


def _mark_file(path: Path) -> str:
    found = path.stat()
    return f"{path}:{found.st_size}:{found.st_mtime_ns}"


def make_digest(*parts: str) -> str:
    """Twelve hexadecimal digits that change with any of the parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
