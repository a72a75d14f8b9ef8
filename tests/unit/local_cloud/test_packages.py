"""An archive is unpacked as a whole or not at all, and nowhere else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from local_cloud.lambdas.packages import Unpacked


def archive(*names: str) -> bytes:
    """Programs called `names`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            target.writestr(entry, "#!/bin/sh")
    return buffer.getvalue()


def test_names_that_climb_change_nothing_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.touch(mode=0o600)
    names = (str(outside), "../../outside", "a/../b", "./c")
    found = Unpacked(tmp_path / "code").directory(archive(*names))
    assert outside.stat().st_mode & 0o777 == 0o600
    programs = [path for path in found.rglob("*") if path.is_file()]
    assert len(programs) == len(names)
    assert all(path.stat().st_mode & 0o111 == 0o111 for path in programs)


def test_a_broken_archive_leaves_nothing(tmp_path: Path) -> None:
    unpacked = Unpacked(tmp_path / "code")
    damaged = archive("app").replace(b"#!/bin/sh", b"#!/bin/xx")
    for rubbish in (b"rubbish", damaged):
        with pytest.raises(zipfile.BadZipFile):
            unpacked.directory(rubbish)
    assert list((tmp_path / "code").iterdir()) == []
