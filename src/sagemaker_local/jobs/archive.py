"""A job's results, uploaded as archives or as files."""

from __future__ import annotations

import tarfile
from pathlib import Path

from sagemaker_local.clients import Clients


def upload_archive(clients: Clients, folder: Path, uri: str) -> None:
    """Upload the content of `folder` as the tar.gz `uri`. Raises JobError."""
    path = folder.with_name(f"{folder.name}.tar.gz")
    with tarfile.open(path, "w:gz", compresslevel=6) as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name)
    clients.upload(path, uri)
    path.unlink()


def upload_tree(clients: Clients, folder: Path, uri: str) -> list[str]:
    """Upload each file of `folder` below `uri` and return the URIs. Raises JobError."""
    base = uri.rstrip("/")
    uris = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        uris.append(f"{base}/{path.relative_to(folder).as_posix()}")
        clients.upload(path, uris[-1])
    return uris
