"""The places in ministack 1.5.33 where this SageMaker is put in."""

from __future__ import annotations

from functools import partial
from typing import Any

from sagemaker_local.app import App
from sagemaker_local.emulator.resources import RESOURCES, make_handlers
from sagemaker_local.emulator.tasks import run_task

_TASKS = (
    "arn:aws:states:::sagemaker:",
    "arn:aws:states:::aws-sdk:sagemaker:",
    "arn:aws:states:::aws-sdk:sagemakerruntime:",
    "arn:aws:states:::aws-sdk:applicationautoscaling:",
)


def register(app: App) -> None:
    """Let ministack's Step Functions and CloudFormation call `app`.

    Importing ministack configures it from the environment: do that first.
    """
    from ministack.services import stepfunctions
    from ministack.services.cloudformation import provisioners, stacks

    run = partial(run_task, app, stepfunctions._ExecutionError)
    stepfunctions._SERVICE_DISPATCH.update({prefix: run for prefix in _TASKS})
    for kind in RESOURCES:
        provisioners._RESOURCE_HANDLERS[kind] = make_handlers(app, kind)
    # An endpoint takes seconds; elsewhere than in a thread its stack would block every other request.
    elsewhere = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda kind: kind in RESOURCES or elsewhere(kind)
    _default_key(app.plane.config.region, app.plane.config.account_id)


def _default_key(region: str, account: str) -> None:
    """SageMaker's SDKs upload with `aws:kms` and no key: AWS takes the account's own, ministack refuses."""
    from ministack.services import s3

    resolve, encryption = s3._resolve_sse_write_headers, "x-amz-server-side-encryption"
    key = {f"{encryption}-aws-kms-key-id": f"arn:aws:kms:{region}:{account}:alias/aws/s3"}

    def resolve_with_default(headers: dict[str, str], bucket: str) -> Any:
        return resolve({**key, **headers} if headers.get(encryption) == "aws:kms" else headers, bucket)

    s3._resolve_sse_write_headers = resolve_with_default
