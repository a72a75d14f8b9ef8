"""Uploads a staged dataset to S3, or to anything that speaks its protocol (AWS_ENDPOINT_URL).

Only what changed is sent: S3's ETag of an object put in one part is its MD5 (not with SSE-KMS: then
everything is sent again). While objects are changing there is no dataset.json, and `dataset.json.staging`
marks the prefix as ours, so that an upload that was killed is told from a prefix that holds something else.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from scones.data.collection import Progress
from scones.data.dataset import COMMIT, PARTS, Dataset
from scones.errors import CloudError, UsageError
from scones.files import split_address

WORKERS = 8
MARK = f"{COMMIT}.staging"


@dataclass(frozen=True)
class Prefix:
    """A place in S3; `key` ends in / or is empty."""

    client: Any
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}".rstrip("/")


def upload(dataset: Dataset, to: str, progress: Progress) -> Dataset:
    """Make the prefix `to` (s3://bucket/prefix) equal to a local dataset, dataset.json last.

    Raises UsageError if `to` names no bucket, CloudError if S3 refuses or the prefix holds something else.
    """
    prefix = _open_prefix(to)
    folder = Path(dataset.location)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    with _translate_errors(prefix):
        present = _list_objects(prefix)
        _check_ours(prefix, present)
        changed = [name for name, path in files.items() if present.get(name) != _compute_md5(path)]
        stale = [name for name in present if name not in files]
        if changed or stale:
            _replace_objects(prefix, files, changed, stale, progress)
    return replace(dataset, location=str(prefix))


def _open_prefix(to: str) -> Prefix:
    bucket, key = split_address(to)
    if not bucket:
        raise UsageError(f"{to} names no bucket.", "Say --to s3://BUCKET/PREFIX.")
    config = Config(max_pool_connections=WORKERS, connect_timeout=5, retries={"mode": "standard"})
    key = key.strip("/")
    try:
        return Prefix(boto3.client("s3", config=config), bucket, f"{key}/" if key else "")
    except (BotoCoreError, ValueError) as error:
        raise CloudError(f"S3 cannot be used: {error}.", "Check AWS_ENDPOINT_URL and AWS_REGION.") from error


def _list_objects(prefix: Prefix) -> dict[str, str]:
    """Names below the prefix, with their ETag."""
    pages = prefix.client.get_paginator("list_objects_v2").paginate(Bucket=prefix.bucket, Prefix=prefix.key)
    return {
        entry["Key"].removeprefix(prefix.key): entry["ETag"].strip('"')
        for page in pages
        for entry in page.get("Contents", [])
    }


def _check_ours(prefix: Prefix, present: dict[str, str]) -> None:
    alien = next((name for name in present if name.partition("/")[0] not in {*PARTS, MARK}), None)
    if alien is None and present and not {COMMIT, MARK} & present.keys():
        alien = next(iter(present))
    if alien is not None:
        raise CloudError(
            f"{prefix} holds {alien!r}, which is no part of a dataset; it could be lost.",
            "Name another prefix with --to.",
        )


def _replace_objects(
    prefix: Prefix, files: dict[str, Path], changed: Sequence[str], stale: Sequence[str], progress: Progress
) -> None:
    def put(name: str) -> None:
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        prefix.client.put_object(
            Bucket=prefix.bucket, Key=prefix.key + name, Body=files[name].read_bytes(), ContentType=kind
        )

    prefix.client.put_object(Bucket=prefix.bucket, Key=prefix.key + MARK, Body=b"")
    _delete(prefix, [COMMIT])
    _do_all(put, [name for name in changed if name != COMMIT], progress)
    _delete(prefix, [name for name in stale if name != MARK])
    put(COMMIT)
    _delete(prefix, [MARK])


def _do_all(put: Callable[[str], None], names: Sequence[str], progress: Progress) -> None:
    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        try:
            for done, _ in enumerate(pool.map(put, names), start=1):
                progress("Uploading", done, len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _delete(prefix: Prefix, names: Sequence[str]) -> None:
    for start in range(0, len(names), 1000):  # the most that one call takes
        keys = [{"Key": prefix.key + name} for name in names[start : start + 1000]]
        answer = prefix.client.delete_objects(Bucket=prefix.bucket, Delete={"Objects": keys, "Quiet": True})
        for error in answer.get("Errors", []):
            raise CloudError(f"S3 does not delete {error['Key']}: {error.get('Message', error['Code'])}.")


def _compute_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def _translate_errors(prefix: Prefix) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code, message = (error.response["Error"].get(key, "") for key in ("Code", "Message"))
        if code == "NoSuchBucket":
            raise CloudError(
                f"There is no bucket {prefix.bucket!r}.", "Create it, or name another."
            ) from error
        raise CloudError(
            f"S3 refuses {error.operation_name} on {prefix}: {code} {message}".rstrip(". ") + ".",
            "Check the credentials and what they are allowed to do.",
        ) from error
    except BotoCoreError as error:
        raise CloudError(f"S3 cannot be reached for {prefix}: {error}".rstrip(".") + ".") from error
