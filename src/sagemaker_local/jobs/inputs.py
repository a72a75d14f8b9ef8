"""Input data of jobs: objects of S3 as files of a folder."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from sagemaker_local.clients import Clients, split_uri
from sagemaker_local.errors import JobError

_PARALLEL = 8


def download_data(
    clients: Clients, source: Mapping[str, Any], folder: Path, free: int, stop: threading.Event
) -> None:
    """Fill `folder` with what an S3DataSource (or ProcessingS3Input) names.

    `free`: bytes of disk that must stay free. S3Prefix, ManifestFile and AugmentedManifestFile are as in
    botocore's S3DataSource; an augmented manifest becomes one file of the same name whose `…-ref` values
    are paths below `folder`. Ends early when `stop` is set. Raises JobError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _download_all(clients, list_source(clients, source, folder, free), folder, stop)


def list_source(
    clients: Clients, source: Mapping[str, Any], folder: Path, free: int
) -> list[tuple[str, Path]]:
    """URI of every object that a source names, and its path below the channel's folder. Raises JobError."""
    uri, kind = source["S3Uri"], source["S3DataType"]
    if kind == "AugmentedManifestFile":
        return _read_augmented(clients, uri, folder, source.get("AttributeNames") or ())
    if kind == "ManifestFile":
        return list(_read_manifest(clients, uri, folder))
    return list(_list_prefix(clients, uri, folder, free))


def _list_prefix(clients: Clients, uri: str, folder: Path, free: int) -> Iterator[tuple[str, Path]]:
    bucket, prefix = split_uri(uri)
    total = count = 0
    for key, size in clients.list_objects(uri):
        count, total = count + 1, total + size
        if not key.endswith("/"):
            yield f"s3://{bucket}/{key}", Path(relative_key(key, prefix))
    if not count:
        raise JobError(
            f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input '
            "data source. Please ensure that the bucket exists, that objects exist under that S3 prefix, "
            "and that the role may list the bucket."
        )
    left = shutil.disk_usage(folder).free
    if total + free > left:
        raise JobError(
            f"ClientError: {uri} holds {total} bytes but only {left} are free on this machine's disk."
        )


def relative_key(key: str, prefix: str) -> str:
    """Where an object found under `prefix` lies in the channel's folder."""
    if key.startswith(prefix.rstrip("/") + "/") and prefix:
        return key[len(prefix.rstrip("/")) + 1 :]
    return key[prefix.rfind("/") + 1 :]


def _read_manifest(clients: Clients, uri: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """`[{"prefix": "s3://bucket/a/"}, "b.png", …]`."""
    entries = _read_json(clients, uri, folder)
    prefix = (
        entries[0].get("prefix", "") if isinstance(entries, list) and entries and _is_map(entries[0]) else ""
    )
    if not prefix:
        raise JobError(
            f'ClientError: Manifest {uri} must be a JSON array that starts with {{"prefix": "s3://…"}}.'
        )
    for name in entries[1:]:
        yield prefix + str(name), Path(str(name))


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _read_json(clients: Clients, uri: str, folder: Path) -> Any:
    path = folder / ".manifest"
    clients.download(uri, path)
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise JobError(f"ClientError: Manifest {uri} is no JSON: {error}") from None
    finally:
        path.unlink()


def _read_augmented(
    clients: Clients, uri: str, folder: Path, attributes: Iterable[str]
) -> list[tuple[str, Path]]:
    path = folder / PurePosixPath(uri).name
    clients.download(uri, path)
    lines, objects = [], {}
    for number, text in enumerate(path.read_text().splitlines(), 1):
        record = _read_record(text, f"{uri} line {number}")
        chosen = {name: record.get(name) for name in attributes} or record
        for name, value in chosen.items():
            if name.endswith("-ref") and isinstance(value, str):
                bucket, key = split_uri(value)
                objects[value] = Path(bucket, key)
                chosen[name] = f"{bucket}/{key}"
        lines.append(json.dumps(chosen))
    path.write_text("".join(f"{line}\n" for line in lines))
    return list(objects.items())


def _read_record(text: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except ValueError as error:
        raise JobError(f"ClientError: {place} is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise JobError(f"ClientError: {place} must be a JSON object.")
    return record


def _download_all(
    clients: Clients, objects: Iterable[tuple[str, Path]], folder: Path, stop: threading.Event
) -> None:
    def fetch(item: tuple[str, Path]) -> None:
        if not stop.is_set():
            clients.download(item[0], _inside(folder, item[1]))

    with ThreadPoolExecutor(_PARALLEL) as pool:
        for _ in pool.map(fetch, objects):
            pass


def _inside(folder: Path, name: Path) -> Path:
    """The path of an object below its folder; keys such as `../x` must not leave it."""
    if name.is_absolute() or ".." in name.parts:
        raise JobError(f"ClientError: Data download failed: the key {name} leaves the channel's folder.")
    return folder / name
