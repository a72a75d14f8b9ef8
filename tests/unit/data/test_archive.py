"""Archives: right ones, damaged ones and hostile ones."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scones.data import archive as archive_module
from scones.data.archive import read_archive
from scones.errors import DataError

Make = Callable[..., Path]
SplitOf = Callable[[int, int, str], dict[bytes, Any]]


def python2_pickle(names: list[bytes], labels: list[int], pixels: bytes) -> bytes:
    """What Python 2's cPickle writes for a split, opcode by opcode."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01J" + struct.pack("<i", len(names)) + b"M\x00\x0c\x86cnumpy\ndtype\n" + text(b"u1")
        + b"K\x00K\x01\x87R"
        b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb"
    )  # fmt: skip
    return (
        b"\x80\x02}q\x01(" + text(b"filenames") + b"](" + b"".join(map(text, names)) + b"e"
        + text(b"fine_labels") + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
        + text(b"data") + array + b"u."
    )  # fmt: skip


def test_reads_what_python_2_wrote(make_archive: Make) -> None:
    pixels = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).tobytes()
    archive = read_archive(make_archive(train=python2_pickle([b"a.png", b"b.png"], [1, 2], pixels)))
    assert archive.train.names == ["a.png", "b.png"]
    assert archive.train.labels.tolist() == [1, 2]
    assert archive.train.pixels.tobytes() == pixels


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_what_python_3_wrote(make_archive: Make, split_of: SplitOf, protocol: int) -> None:
    split = split_of(1, 4, "x")
    archive = read_archive(make_archive(train=pickle.dumps(split, protocol=protocol)))
    assert np.array_equal(archive.train.pixels, split[b"data"])
    assert archive.classes == ["apple", "bicycle", "motorcycle", "pickup_truck"]


def test_reads_an_uncompressed_tar_in_any_order(make_archive: Make, tmp_path: Path) -> None:
    packed = make_archive()
    with tarfile.open(packed) as tar, tarfile.open(tmp_path / "plain.tar", "w") as plain:
        for member in reversed(tar.getmembers()):
            plain.addfile(member, tar.extractfile(member))
    assert len(read_archive(tmp_path / "plain.tar").train.names) == 80


def refuse(path: Path, expected: str) -> None:
    with pytest.raises(DataError, match=expected) as caught:
        read_archive(path)
    assert caught.value.message.count("\n") == 0
    assert caught.value.message.endswith(".")
    assert path.name in caught.value.message


def test_a_missing_archive(tmp_path: Path) -> None:
    refuse(tmp_path / "none.tar.gz", "There is no archive")


def test_a_folder(tmp_path: Path) -> None:
    refuse(tmp_path, "cannot be read: Is a directory")


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_archive(make_archive: Make, kept: float) -> None:
    path = make_archive()
    os.truncate(path, int(path.stat().st_size * kept))
    refuse(path, "truncated or damaged|not a tar archive")


def test_a_flipped_byte(make_archive: Make) -> None:
    path = make_archive()
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # within gzip's CRC: everything unpacks, and only the checksum tells
    path.write_bytes(content)
    refuse(path, "CRC")


@pytest.mark.parametrize(
    "content", [b"<html>404</html>" * 100, gzip.compress(b"no tar" * 1000), b"\x1f\x8bno gzip"]
)
def test_what_is_no_tar(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.tar.gz"
    path.write_bytes(content)
    refuse(path, "not a tar archive|truncated or damaged")


@pytest.mark.parametrize("name", ["meta", "train", "test"])
def test_a_missing_member(make_archive: Make, name: str) -> None:
    refuse(make_archive(**{name: None}), f"lacks cifar-100-python/{name}")


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (("../../etc/cron.d/evil", b"x"), "leads out of it"),
        (("/etc/passwd", b"x"), "leads out of it"),
        (("cifar-100-python/../../x", b"x"), "leads out of it"),
        (special("cifar-100-python/a", tarfile.SYMTYPE, "/etc/passwd"), "neither a plain file nor a folder"),
        (special("cifar-100-python/a", tarfile.LNKTYPE, "cifar-100-python/meta"), "neither a plain file"),
        (special("cifar-100-python/a", tarfile.CHRTYPE), "neither a plain file"),
        (special("cifar-100-python/a", tarfile.FIFOTYPE), "neither a plain file"),
        (("cifar-100-python/train", b"again"), "twice"),
    ],
)
def test_hostile_members(make_archive: Make, member: tuple[Any, bytes], expected: str) -> None:
    refuse(make_archive(extra=[member]), expected)


def test_headers_that_tarfile_trips_over(make_archive: Make) -> None:
    sparse = tarfile.TarInfo("cifar-100-python/x")
    sparse.pax_headers = {"GNU.sparse.map": "no numbers", "GNU.sparse.size": "3"}
    refuse(make_archive(extra=[(sparse, b"abc")]), "not a tar archive that can be read|neither a plain file")


def test_a_size_bomb(make_archive: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MOST_BYTES", 1 << 22)
    path = make_archive(extra=[("zeros", b"\0" * (1 << 23))])
    assert path.stat().st_size < 1 << 20
    refuse(path, "unpacks to more than 4 MiB")


def test_a_flood_of_members(make_archive: Make) -> None:
    refuse(make_archive(extra=[(f"m{number}", b"") for number in range(100)]), "more than 64 members")


def change(split_of: SplitOf, **changes: Any) -> dict[bytes, Any]:
    return split_of(1, 4, "x") | {key.encode(): value for key, value in changes.items()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fine_labels": [1] * 15 + [4]}, "has the label 4; labels go from 0 to 3"),
        ({"fine_labels": [1] * 15 + [-1]}, "has the label -1"),
        ({"fine_labels": [1] * 15 + ["1"]}, "has the label '1'"),
        ({"fine_labels": [1] * 15 + [True]}, "has the label True"),
        ({"fine_labels": [1] * 3}, "not as many labels and file names"),
        ({"fine_labels": None}, "not as many labels and file names"),
        ({"filenames": [b"a.png"] * 3}, "not as many labels and file names"),
        ({"filenames": [7] * 16}, "where a name belongs"),
        ({"data": None}, "no table of 3072 bytes a row"),
        ({"data": np.zeros((16, 3071), np.uint8)}, "no table of 3072 bytes a row"),
        ({"data": np.zeros((16, 3, 32, 32), np.uint8)}, "no table of 3072 bytes a row"),
        ({"data": np.zeros((16, 3072), np.float32)}, "an array of type 'f4'"),
        ({"data": np.zeros((3072, 16), np.uint8).T}, "not plain bytes in rows"),
    ],
)
def test_wrong_contents(
    make_archive: Make, split_of: SplitOf, changes: dict[str, Any], expected: str
) -> None:
    refuse(make_archive(train=change(split_of, **changes)), expected)


@pytest.mark.parametrize("meta", [{}, {b"fine_label_names": 3}, {b"fine_label_names": []}, [1, 2]])
def test_wrong_meta(make_archive: Make, meta: Any) -> None:
    refuse(make_archive(meta=pickle.dumps(meta)), "meta")
