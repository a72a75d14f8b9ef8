"""Photos that lie in the bucket already are found; what cannot be known is not taken for missing."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from scones.aws.checkins import find_photo
from scones.aws.sessions import Cloud
from scones.errors import CloudError


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(boto3.Session("key", "secret", region_name="us-east-1"), "local")


def test_a_photo_is_found_by_its_etag_and_a_missing_one_has_none(cloud: Cloud) -> None:
    with mock_aws():
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket="photos")
        etag = s3.put_object(Bucket="photos", Key="incoming/a.png", Body=b"photo")["ETag"].strip('"')
        assert find_photo(cloud, "photos", "incoming/a.png").etag == etag
        assert find_photo(cloud, "photos", "incoming/b.png").etag == ""


def test_a_photo_that_may_not_be_read_is_not_taken_for_missing(cloud: Cloud) -> None:
    with Stubber(cloud.client("s3")) as stub:
        stub.add_client_error("head_object", "403", "Forbidden", http_status_code=403)
        with pytest.raises(CloudError, match=r"Cannot look for s3://photos/incoming/a\.png: Forbidden"):
            find_photo(cloud, "photos", "incoming/a.png")
