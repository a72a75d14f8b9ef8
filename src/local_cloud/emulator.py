"""ministack in this process: its settings, its account, and the few private names that we rely on.

ministack 1.5.33 reads its settings from the environment when it is imported, so nothing of it may be imported
before `configure`. tests/contract/local_cloud/test_registration_points.py checks every private name used.
"""

from __future__ import annotations

import json
import os
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from local_cloud.cloud import ACCOUNT, ROLE, USER, Cloud

# SigV4 service name -> ministack's module. What is not here is answered "not available".
SERVICES = {
    "cloudformation": "cloudformation",
    "dynamodb": "dynamodb",
    "events": "eventbridge",
    "iam": "iam",
    "kms": "kms",
    "lambda": "lambda_svc",
    "logs": "cloudwatch_logs",
    "monitoring": "cloudwatch",
    "s3": "s3",
    "scheduler": "scheduler",
    "secretsmanager": "secretsmanager",
    "sns": "sns",
    "sqs": "sqs",
    "ssm": "ssm",
    "states": "stepfunctions",
    "sts": "sts",
    "tagging": "tagging",
}

POLICIES = 1024  # remembered at a time

ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"

# What a notebook's role may do: the services of the workflow, and handing its own roles on to them.
NOTEBOOK_ACTIONS = (
    "application-autoscaling:*", "cloudformation:*", "cloudwatch:*", "dynamodb:*", "events:*", "iam:Get*",
    "iam:List*", "iam:PassRole", "lambda:*", "logs:*", "s3:*", "sagemaker:*", "scheduler:*", "sns:*", "sqs:*",
    "states:*",
)  # fmt: skip


def configure(cloud: Cloud) -> None:
    """Set ministack's environment; the caller's own AWS settings must not reach it or its children."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MINISTACK_"))]:
        del os.environ[name]
    os.environ.update(
        AUTH="true",
        S3_PERSIST="1",
        S3_DATA_DIR=str(cloud.places.objects),
        PERSIST_STATE="0",  # the journal keeps the rest
        STATE_DIR=str(cloud.places.home / "ministack"),
        GATEWAY_PORT=str(cloud.port),
        MINISTACK_REGION=cloud.region,
        MINISTACK_ACCOUNT_ID=cloud.account_id,
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST="unix:///nonexistent",
        LOG_LEVEL="WARNING",
        # Whoever holds this key is root and is not checked: nobody may.
        AWS_ACCESS_KEY_ID=os.urandom(16).hex(),
        AWS_DEFAULT_REGION=cloud.region,
    )


def trust_loopback() -> None:
    """Let policies that demand TLS (aws:SecureTransport) pass: loopback is as private as that."""
    from ministack import app
    from ministack.core import iam_evaluator

    iam_evaluator._request_origin = ContextVar("request_origin", default=("127.0.0.1", True))
    app.pin_request_origin = lambda address, _: iam_evaluator.pin_request_origin(address, True)


def remember_policies() -> None:
    """Read each policy once, not for every request of the role that has it."""
    from ministack.core import iam_evaluator

    parse = iam_evaluator.parse_policy_document
    read = lru_cache(POLICIES)(parse)
    iam_evaluator.parse_policy_document = lambda document: (
        read(document) if isinstance(document, str) else parse(document)
    )


def seed_account(cloud: Cloud) -> None:
    """Make the administrator with this installation's access key and the notebook role, where missing."""
    from ministack.services import iam

    if USER not in iam._users:
        iam._create_user({"UserName": [USER]})
        iam._attach_user_policy({"UserName": [USER], "PolicyArn": [ADMINISTRATOR]})
    key = cloud.credentials.access_key_id
    iam._access_keys[key] = {
        "AccessKeyId": key,
        "SecretAccessKey": cloud.credentials.secret_access_key,
        "Status": "Active",
        "UserName": USER,
        "CreateDate": iam._now(),
    }
    if ROLE not in iam._roles:
        _make_role(iam)


def _make_role(iam: Any) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root", "Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    allow = {"Effect": "Allow", "Action": list(NOTEBOOK_ACTIONS), "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    iam._create_role({"RoleName": [ROLE], "AssumeRolePolicyDocument": [json.dumps(trust)]})
    iam._put_role_policy(
        {"RoleName": [ROLE], "PolicyName": ["workflow"], "PolicyDocument": [json.dumps(policy)]}
    )
