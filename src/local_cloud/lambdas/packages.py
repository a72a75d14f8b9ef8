"""What a function can import: its own code, its layers, and what AWS's Python runtime brings along.

The runtime is a virtual environment that holds boto3 and awslambdaric with their dependencies, as links to
the installed packages, and nothing else of ours. Code and layers are unpacked once per content into a cache
that is emptied at every start of the local cloud.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tempfile
import venv
import zipfile
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path

# AWS's runtime has boto3 and the runtime interface client; these are all the packages both need.
RUNTIME_PACKAGES = (
    "awslambdaric", "simplejson", "snapshot-restore-py",
    "boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3",
)  # fmt: skip


def build_runtime(place: Path) -> Path:
    """Create the runtime's virtual environment in `place`; the path of its Python interpreter."""
    venv.EnvBuilder(symlinks=True).create(place)
    site = place / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    for package in RUNTIME_PACKAGES:
        found = distribution(package)
        for name in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            (site / name).symlink_to(str(found.locate_file(name)))
    return place / "bin" / "python"


class Unpacked:
    """A cache of unpacked archives: one directory per content, complete or absent."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True)
        self._place = place

    def directory(self, archive: bytes) -> Path:
        """The directory with the contents of a zip `archive`.

        Raises:
            zipfile.BadZipFile: it is none.
        """
        target = self._place / hashlib.sha256(archive).hexdigest()[:32]
        if not target.exists():
            self._unpack(archive, target)
        return target

    def _unpack(self, archive: bytes, target: Path) -> None:
        partial = Path(tempfile.mkdtemp(dir=self._place, prefix="partial-"))
        try:
            with zipfile.ZipFile(io.BytesIO(archive)) as contents:
                for entry in contents.infolist():
                    _extract(contents, entry, partial)
            with suppress(OSError):  # another invocation was faster
                partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _extract(contents: zipfile.ZipFile, entry: zipfile.ZipInfo, root: Path) -> None:
    """Below `root` whatever its name is; programs stay executable, though extract forgets their modes."""
    path = contents.extract(entry, root)
    mode = entry.external_attr >> 16 & 0o111
    if mode and not entry.is_dir():
        os.chmod(path, os.stat(path).st_mode | mode)


def search_path(code: Path, layers: list[Path]) -> list[str]:
    """Where the function's modules are looked for, ahead of the standard library and the runtime's packages.

    A later layer hides an earlier one, as it does when AWS merges them into /opt.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    inside = ("python", f"python/lib/{version}/site-packages")
    return [str(code), *(str(layer / part) for layer in reversed(layers) for part in inside)]
