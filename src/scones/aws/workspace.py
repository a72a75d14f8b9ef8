"""What a run needs before anything else: a private bucket and SageMaker's execution role."""

from __future__ import annotations

import json
from typing import Any

from scones.aws import buckets
from scones.aws.sessions import Cloud, translate_errors

ROLE = "scones-sagemaker"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def name_bucket(cloud: Cloud) -> str:
    """The workspace bucket of this account and region."""
    return f"scones-workspace-{cloud.account}-{cloud.region}"


def ensure_bucket(cloud: Cloud) -> str:
    """Make the workspace bucket unless it is there; its name. Raises CloudError."""
    bucket = name_bucket(cloud)
    buckets.ensure_bucket(cloud, bucket)
    return bucket


def ensure_role(cloud: Cloud, bucket: str) -> str:
    """ARN of the execution role, made unless it is there, allowed no more than its jobs need.

    Raises CloudError.
    """
    iam = cloud.client("iam")
    with translate_errors(f"make the role {ROLE}"):
        try:
            role = iam.get_role(RoleName=ROLE)["Role"]
        except iam.exceptions.NoSuchEntityException:
            role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]
        iam.put_role_policy(
            RoleName=ROLE, PolicyName="work", PolicyDocument=json.dumps(_describe_permissions(bucket))
        )
    return str(role["Arn"])


def _describe_permissions(bucket: str) -> dict[str, Any]:
    logs = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    pull = ["ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    statements = [
        (["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], f"arn:aws:s3:::{bucket}/*"),
        (["s3:ListBucket", "s3:GetBucketLocation"], f"arn:aws:s3:::{bucket}"),
        (logs, "arn:aws:logs:*:*:log-group:/aws/sagemaker/*"),
        # These three know no resources.
        (["cloudwatch:PutMetricData", *pull], "*"),
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in statements
        ],
    }
