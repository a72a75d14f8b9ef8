"""Scones Unlimited's vehicle-routing ML workflow.

The steps of `scones run`, as functions; each is imported when it is first used:

    cloud = scones.connect()                       AWS, or the local cloud that `scones env` names
    plan = scones.Plan(scones.load_settings(), template=Path("template.yaml"))
    staged = scones.stage_data(cloud, plan)
    job = scones.train_model(cloud, plan, staged)
    measures, gate = scones.evaluate_model(cloud, plan, staged, job)
    deployment = scones.describe_deployment(cloud, plan, job)
    endpoint = scones.deploy_endpoint(cloud, deployment)
    outputs = scones.deploy_application(cloud, plan)
    images = scones.send_images(cloud, outputs, staged.local, wave="first")
    for capture in scones.read_captures(deployment.capture, client=cloud.client("s3")): …
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "connect": "scones.aws.sessions",
    "load_settings": "scones.settings",
    "Plan": "scones.run.plan",
    "stage_data": "scones.run.steps",
    "train_model": "scones.run.steps",
    "evaluate_model": "scones.run.steps",
    "describe_deployment": "scones.run.steps",
    "deploy_application": "scones.run.application",
    "await_captures": "scones.run.evidence",
    "register_model": "scones.aws.model_packages",
    "deploy_endpoint": "scones.aws.endpoints",
    "delete_endpoint": "scones.aws.endpoints",
    "send_images": "scones.run.traffic",
    "collect_rows": "scones.run.evidence",
    "read_captures": "scones.aws.captures",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'scones' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
