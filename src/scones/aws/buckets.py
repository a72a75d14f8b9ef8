"""Buckets: made private, and emptied with all versions of what they hold."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from scones.aws.sessions import Cloud, translate_errors
from scones.errors import CloudError

_CLOSED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def ensure_bucket(cloud: Cloud, bucket: str) -> None:
    """Make the bucket, closed to the public, unless it is there. Raises CloudError."""
    s3 = cloud.client("s3")
    with translate_errors(f"make the bucket {bucket}"):
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            # us-east-1 is the one region that must not be named.
            place: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
            s3.create_bucket(Bucket=bucket, **({} if cloud.region == "us-east-1" else place))
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(_CLOSED, True))


def empty_bucket(cloud: Cloud, bucket: str) -> None:
    """Delete every version of every object; a bucket that does not exist is empty. Raises CloudError."""
    s3 = cloud.client("s3")
    with translate_errors(f"empty the bucket {bucket}"):
        try:
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects}) if objects else {}
                for error in answer.get("Errors", []):
                    raise CloudError(f"Cannot delete s3://{bucket}/{error['Key']}: {error['Message']}.")
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
