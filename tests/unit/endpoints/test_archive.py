"""Model archives that are damaged or hostile."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from sagemaker_local.endpoints.archive import unpack_model
from sagemaker_local.endpoints.errors import EndpointError

MIB = 1024 * 1024


def pack(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))
    return path


def describe(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "model.tar.gz",
        (describe("./", tarfile.DIRTYPE), b""),
        (describe("baseline", tarfile.DIRTYPE), b""),
        (describe("baseline/a.json"), b"{}"),
        (describe("./model.onnx"), b"x" * 3 * MIB),
    )
    unpack_model(archive, tmp_path / "model", "s3://a/b", 10 * MIB)
    assert (tmp_path / "model" / "baseline" / "a.json").read_bytes() == b"{}"
    assert (tmp_path / "model" / "model.onnx").stat().st_size == 3 * MIB


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (describe("../evil"), "outside the destination"),
        (describe("/tmp/evil"), "outside the destination"),
        (describe("link", tarfile.SYMTYPE, "/etc/passwd"), "is a link or a special file"),
        (describe("link", tarfile.LNKTYPE, "model.onnx"), "is a link or a special file"),
        (describe("pipe", tarfile.FIFOTYPE), "is a link or a special file"),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, member: tarfile.TarInfo, words: str) -> None:
    archive = pack(tmp_path / "model.tar.gz", (describe("good"), b"good"), (member, b""))
    with pytest.raises(EndpointError, match=words):
        unpack_model(archive, tmp_path / "model", "s3://a/b", MIB)
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "evil").exists()


def test_bombs_are_refused(tmp_path: Path) -> None:
    large = pack(tmp_path / "large.tar.gz", (describe("zeros"), bytes(8 * MIB)))
    assert large.stat().st_size < MIB
    with pytest.raises(EndpointError, match="larger than the"):
        unpack_model(large, tmp_path / "model", "s3://a/b", 4 * MIB)
    header = describe("header")
    header.pax_headers = {"comment": "x" * 8 * MIB}
    with pytest.raises(EndpointError, match="header that is too large"):
        unpack_model(
            pack(tmp_path / "header.tar.gz", (header, b"")), tmp_path / "model", "s3://a/b", 100 * MIB
        )


@pytest.mark.parametrize("keep", [0, 10, 200, 0.5, -4])
def test_cut_off_archives_are_refused(tmp_path: Path, keep: float) -> None:
    whole = pack(tmp_path / "whole.tar.gz", (describe("a"), bytes(range(256)) * 4096)).read_bytes()
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else int(keep)])
    with pytest.raises(EndpointError, match="Failed to extract model data archive"):
        unpack_model(archive, tmp_path / "model", "s3://a/b", 100 * MIB)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "content", [b"", b"text", gzip.compress(b"no tar", mtime=0), gzip.compress(b"", mtime=0)]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(EndpointError, match="Failed to extract model data archive"):
        unpack_model(archive, tmp_path / "model", "s3://a/b", 100 * MIB)
