"""The artifact: complete, unchanged, of this version, or refused in words."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from scones.errors import ModelError
from scones.model.artifact import open_artifact, pack, read_run, unpack, write_artifact

FILES = {
    "model.onnx": b"graph",
    "labels.json": b'["bicycle", "motorcycle"]',
    "calibration.json": b'{"temperature": 0.6}',
    "baseline/embeddings.npz": b"embeddings",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_artifact(tmp_path / "model", FILES, {"seed": 3})
    return tmp_path / "model"


def test_what_is_written_is_read(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "model.tar.gz")
    artifact = unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert artifact.labels == ("bicycle", "motorcycle")
    assert artifact.run["seed"] == 3
    assert artifact.digest == open_artifact(folder).digest == read_run(tmp_path / "model.tar.gz")[1]


def test_the_same_model_packs_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "a.tar.gz")
    pack(folder, tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(FILES[name] + b" ")
    with pytest.raises(ModelError, match=f"{name} was changed"):
        open_artifact(folder)


@pytest.mark.parametrize("name", [*FILES, "run.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        open_artifact(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "has version 2"),
        ({"files": {}}, r"lacks model\.onnx"),
        ({"files": None}, "lacks"),
        ({"files": {**dict.fromkeys(FILES, ""), "../../secret": ""}}, "was changed|outside of it"),
    ],
)
def test_a_changed_run_record_is_refused(folder: Path, change: dict[str, object], words: str) -> None:
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, **change}))
    with pytest.raises(ModelError, match=words):
        open_artifact(folder)


def test_a_file_outside_of_the_artifact_is_not_read(folder: Path) -> None:
    run = json.loads((folder / "run.json").read_text())
    run["files"] = {"../secret": "0", **run["files"]}
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(ModelError, match="outside of it"):
        open_artifact(folder)


def test_a_truncated_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    pack(folder, tmp_path / "model.tar.gz")
    whole = (tmp_path / "model.tar.gz").read_bytes()
    (tmp_path / "model.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="is damaged"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    with pytest.raises(ModelError, match="is damaged"):
        read_run(tmp_path / "model.tar.gz")


def test_a_missing_archive_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model artifact") as caught:
        unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert "scones model train" in caught.value.hint


@pytest.mark.parametrize("hostile", ["../escape", "/absolute", "link"])
def test_hostile_members_are_refused(tmp_path: Path, hostile: str) -> None:
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        entry = tarfile.TarInfo(hostile)
        if hostile == "link":
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(entry)
        else:
            entry.size = 4
            tar.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(ModelError):
        unpack(tmp_path / "model.tar.gz", tmp_path / "unpacked")
    assert not (tmp_path / "escape").exists()
