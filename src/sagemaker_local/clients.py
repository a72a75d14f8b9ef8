"""The other AWS services, through boto3 at the configured endpoint. Every call blocks: use threads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_local.config import Config
from sagemaker_local.errors import JobError

logger = logging.getLogger(__name__)


def split_uri(uri: str) -> tuple[str, str]:
    """`s3://bucket/a/b` gives ("bucket", "a/b"). Raises JobError for anything else."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise JobError(f"ClientError: {uri} is not an S3 URI; write s3://bucket/key.")
    return bucket, key


class Clients:
    """S3, CloudWatch and Logs of the account. Clients are made on first use; boto3's are thread-safe."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session = boto3.Session(
            config.access_key_id, config.secret_access_key, region_name=config.region
        )

    def _client(self, service: str) -> Any:
        settings = BotoConfig(
            retries={"max_attempts": 3, "mode": "standard"},
            max_pool_connections=16,
            s3={"addressing_style": "path"},
        )
        return self._session.client(service, endpoint_url=self._config.endpoint_url, config=settings)

    @cached_property
    def s3(self) -> Any:
        return self._client("s3")

    @cached_property
    def logs(self) -> Any:
        return self._client("logs")

    @cached_property
    def cloudwatch(self) -> Any:
        return self._client("cloudwatch")

    def list_objects(self, uri: str) -> Iterator[tuple[str, int]]:
        """Key and size of every object whose key starts with that of `uri`. Raises JobError."""
        bucket, prefix = split_uri(uri)
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        try:
            for page in pages:
                yield from ((found["Key"], found["Size"]) for found in page.get("Contents", ()))
        except (ClientError, BotoCoreError) as error:
            raise JobError(f"ClientError: Cannot list {uri}: {error}") from error

    def download(self, uri: str, path: Path) -> None:
        """Store the object as `path`, whose folder is made. Raises JobError."""
        bucket, key = split_uri(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.s3.download_file(bucket, key, str(path))
        except (ClientError, BotoCoreError) as error:
            raise JobError(f"ClientError: Data download failed: {uri}: {error}") from error

    def fetch(self, uri: str, path: Path) -> None:
        """`download`, for endpoints. Raises OSError."""
        try:
            self.download(uri, path)
        except JobError as error:
            raise OSError(str(error)) from error

    def upload(self, path: Path, uri: str) -> None:
        """Store `path` as the object `uri`. Raises JobError."""
        bucket, key = split_uri(uri)
        try:
            self.s3.upload_file(str(path), bucket, key)
        except (ClientError, BotoCoreError, boto3.exceptions.S3UploadFailedError) as error:
            raise JobError(f"ClientError: Cannot upload to {uri}: {error}") from error

    def publish_metric(self, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
        """PutMetricData, at most 1,000 values a call. A failure is logged: metrics never stop the work."""
        try:
            self.cloudwatch.put_metric_data(Namespace=namespace, MetricData=list(data))
        except (ClientError, BotoCoreError) as error:
            logger.warning("metrics of %s were lost: %s", namespace, error)

    def put_log(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """PutLogEvents: (milliseconds, line), by time. Makes group and stream; failures are logged."""
        lines = [{"timestamp": at, "message": line or " "} for at, line in events]
        try:
            try:
                self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)
            except self.logs.exceptions.ResourceNotFoundException:
                self._make_stream(group, stream)
                self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)
        except (ClientError, BotoCoreError) as error:
            logger.warning("%d log lines of %s were lost: %s", len(lines), stream, error)

    def _make_stream(self, group: str, stream: str) -> None:
        for make, names in (
            (self.logs.create_log_group, {"logGroupName": group}),
            (self.logs.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                make(**names)
            except self.logs.exceptions.ResourceAlreadyExistsException:
                continue
