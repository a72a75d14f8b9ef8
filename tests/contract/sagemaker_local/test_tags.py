"""Tags of every kind of resource, as boto3 sees them."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import IMAGE, ROLE


def make_tags(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def test_tags_are_added_changed_removed_and_go_with_their_resource(
    sagemaker: Any, s3: Any, name: str
) -> None:
    request = {"ModelName": name, "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE}
    arn = sagemaker.create_model(**request, Tags=make_tags(team="routing", stage="test"))["ModelArn"]
    answered = sagemaker.add_tags(ResourceArn=arn, Tags=make_tags(stage="live", cost="1"))["Tags"]
    assert answered == make_tags(team="routing", stage="live", cost="1")
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team", "unknown"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == make_tags(stage="live", cost="1")
    with pytest.raises(ClientError, match="at most 50 tags"):
        sagemaker.add_tags(ResourceArn=arn, Tags=make_tags(**{f"tag-{n}": "x" for n in range(49)}))
    assert len(sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 2
    sagemaker.delete_model(ModelName=name)
    sagemaker.create_model(**request)
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
