"""The model artifact: `model.tar.gz`, and the directory it unpacks to. NumPy and the standard library only.

    model.onnx          raw RGB bytes in, calibrated probabilities and embedding out
    labels.json         ["bicycle", "motorcycle"]: the order of the probabilities
    calibration.json    temperature, calibration error, coverage curve, thresholds, where
    out-of-distribution begins baseline/           embeddings.npz: the training pictures' embeddings, for
    the out-of-distribution score and drift run.json            recipe, seed, data digest, code version,
    metrics; SHA-256 of every other file

Nothing is pickled. `run.json` is written last: a directory without it is no artifact.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scones.errors import ModelError
from scones.files import write_aside

ARTIFACT_VERSION = 1
NAME = "model.tar.gz"
RUN = "run.json"
LABELS, CALIBRATION, GRAPH, EMBEDDINGS = (
    "labels.json",
    "calibration.json",
    "model.onnx",
    "baseline/embeddings.npz",
)
REQUIRED = (GRAPH, LABELS, CALIBRATION, EMBEDDINGS)
MOST_BYTES = 512 * 1024 * 1024
_HINT = "Train it again: scones model train"


@dataclass(frozen=True)
class Artifact:
    """A checked artifact directory. `digest` (SHA-256 of run.json, which lists all others) names the
    model."""

    folder: Path
    digest: str
    labels: tuple[str, ...]
    calibration: dict[str, Any]
    run: dict[str, Any]


def write_artifact(folder: Path, files: Mapping[str, bytes], run: Mapping[str, Any]) -> str:
    """Write `files` and, last and atomically, run.json with their digests; returns the artifact's digest."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    digests = {name: _hash(content) for name, content in sorted(files.items())}
    record = encode_json({"version": ARTIFACT_VERSION, **run, "files": digests})
    with write_aside(folder / RUN) as unfinished:
        unfinished.write_bytes(record)
    return _hash(record)


def encode_json(value: Any) -> bytes:
    """Readable, stable JSON with a final newline."""
    return (json.dumps(value, indent=2) + "\n").encode()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def pack(folder: Path, target: Path) -> None:
    """Pack an artifact directory; the same files give the same bytes. Nothing half-written is left behind.

    Raises ModelError when the directory is no whole artifact, DataError where `target` cannot be written.
    """
    artifact = open_artifact(folder)
    with (
        write_aside(target) as unfinished,
        unfinished.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name in (*sorted(artifact.run["files"]), RUN):
            content = (folder / name).read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))


def unpack(source: Path, folder: Path) -> Artifact:
    """Unpack model.tar.gz into the empty directory `folder` and check it.

    Raises ModelError for anything damaged, oversized, tampered with or of another version. Links, devices and
    paths that lead out of the directory are refused (PEP 706's "data" filter).
    """
    try:
        with tarfile.open(source, "r:gz") as tar:
            if sum(member.size for member in tar) > MOST_BYTES:
                raise ModelError(f"{source} unpacks to more than {MOST_BYTES:,} bytes.")
            tar.extractall(folder, filter="data")
    except FileNotFoundError:
        raise ModelError(f"There is no model artifact at {source}.", _HINT) from None
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ModelError(f"The model artifact {source} is damaged: {error}.", _HINT) from error
    return open_artifact(folder)


def read_run(source: Path) -> tuple[dict[str, Any], str]:
    """The run record and the digest of a packed artifact, unchecked beyond that; ModelError when it has
    none."""
    try:
        with tarfile.open(source, "r:gz") as tar:
            member = tar.extractfile(RUN)
            content = member.read(MOST_BYTES) if member else b""
    except (tarfile.TarError, EOFError, KeyError, OSError) as error:
        raise ModelError(f"The model artifact {source} is damaged: {error}.", _HINT) from error
    return _parse(content, RUN), _hash(content)


def open_artifact(folder: Path) -> Artifact:
    """Check an unpacked artifact: version, completeness, the digest of every file. Raises ModelError."""
    record = _read(folder, RUN)
    run = _parse(record, RUN)
    if run.get("version") != ARTIFACT_VERSION:
        raise ModelError(
            f"The model artifact has version {run.get('version')!r}; this program reads {ARTIFACT_VERSION}.",
            _HINT,
        )
    files = run.get("files")
    missing = [name for name in REQUIRED if not isinstance(files, dict) or name not in files]
    if missing:
        raise ModelError(f"The model artifact in {folder} lacks {', '.join(missing)}.", _HINT)
    for name, digest in run["files"].items():
        if _hash(_read(folder, name)) != digest:
            raise ModelError(
                f"The model artifact's file {name} was changed after training (SHA-256 differs).", _HINT
            )
    labels = _parse(_read(folder, LABELS), LABELS)
    return Artifact(
        folder, _hash(record), tuple(labels), _parse(_read(folder, CALIBRATION), CALIBRATION), run
    )


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"The model artifact names the file {name!r}, which lies outside of it.", _HINT)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{folder} is no model artifact: {name} is missing.", _HINT) from error


def _parse(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise ModelError(f"The model artifact's {name} is damaged: {error}.", _HINT) from error
