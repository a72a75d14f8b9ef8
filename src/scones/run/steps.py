"""The steps up to a deployed application. Each returns what it made; a second time, the same at once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scones import __version__
from scones.aws import endpoints, stacks, training_jobs, workspace
from scones.aws.captures import Capture, read_captures
from scones.aws.orders import seed_bays, seed_orders
from scones.aws.sessions import Cloud, translate_errors
from scones.data import Dataset, read_dataset, stage
from scones.data.upload import upload
from scones.errors import CloudError, DataError, ModelError
from scones.run.plan import IMAGE, Plan, Progress, ignore_progress, make_digest

Tell = Callable[[str], None]
GROUP = "scones-vehicles"
MAX_OOD = "0.5"  # Prediction.ood: above this a picture should not be routed
ORDERS = 300


def _ignore(line: str) -> None:
    """For callers who tell nothing."""


@dataclass(frozen=True)
class Staged:
    """The dataset on this machine, and the same in S3."""

    local: Dataset
    remote: str


def stage_data(cloud: Cloud, plan: Plan, progress: Progress = ignore_progress) -> Staged:
    """Stage the source to a folder and to the workspace bucket."""
    try:
        local = read_dataset(plan.staged)
    except DataError:
        settings = plan.settings
        local = stage(
            settings.source,
            plan.staged,
            cache_dir=settings.cache_dir,
            classes=plan.classes,
            seed=settings.seed,
            sha256=plan.sha256,
            progress=progress,
        )
    bucket = workspace.ensure_bucket(cloud)
    remote = upload(local, f"s3://{bucket}/datasets/{local.digest.partition(':')[2][:12]}", progress)
    return Staged(local, remote.location)


def train_model(cloud: Cloud, plan: Plan, staged: Staged, tell: Tell = _ignore) -> training_jobs.TrainingJob:
    """Run the training job of this dataset and these hyperparameters, or find that it has run."""
    from scones.container.training import METRICS

    bucket = workspace.name_bucket(cloud)
    given = {
        "class_names": ",".join(plan.classes),
        "num_classes": str(len(plan.classes)),
        "seed": str(plan.settings.seed),
        **plan.hyperparameters,
    }
    base = f"scones-{make_digest(staged.local.digest, repr(sorted(given.items())), __version__)}"
    channels = {
        "train": f"{staged.remote}/train/",
        "validation": f"{staged.remote}/validation/",
        "train_lst": f"{staged.remote}/train.lst",
        "validation_lst": f"{staged.remote}/validation.lst",
    }
    spec = training_jobs.TrainingSpec(
        name=_find_name(cloud, base),
        image=_name_image(cloud),
        role=workspace.ensure_role(cloud, bucket),
        channels=channels,
        output=f"s3://{bucket}/models",
        hyperparameters=given,
        metrics=METRICS,
    )
    training_jobs.start_training_job(cloud, spec)
    for found in training_jobs.follow_training_job(cloud, spec.name):
        if isinstance(found, str):
            tell(found)
        elif found.status == "Stopped":
            raise ModelError(f"The training job {spec.name} was stopped.", "Start again: scones run.")
        elif found.status == "Completed":
            return found
    raise CloudError(f"The training job {spec.name} ended without a result.")


def _find_name(cloud: Cloud, base: str) -> str:
    """`base`, or the first of base-1, … whose job has not failed: SageMaker never frees a job's name."""
    name, number = base, 0
    while (job := training_jobs.read_training_job(cloud, name)) and job.status in ("Failed", "Stopped"):
        number += 1
        name = f"{base}-{number}"
    return name


def _name_image(cloud: Cloud) -> str:
    return IMAGE.format(account=cloud.account, region=cloud.region, version=__version__)


def evaluate_model(
    cloud: Cloud, plan: Plan, staged: Staged, job: training_jobs.TrainingJob
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's measures on the test images, and the gate's verdict. Raises ModelError below the gate."""
    artifact = fetch(cloud, job.artifact, plan.folder / "models" / job.name / "model.tar.gz")
    measures = {**_measure(artifact, staged.local, plan.settings.threshold), "train_seconds": job.seconds}
    accuracy = measures["test_accuracy"]
    gate = {
        "passed": accuracy >= plan.least_accuracy,
        "least_accuracy": plan.least_accuracy,
        "reason": f"Accuracy on the {measures['pictures']} test images is {accuracy:.1%}; "
        f"at least {plan.least_accuracy:.1%} is asked for.",
    }
    if not gate["passed"]:
        raise ModelError(
            f"The model is below its gate and was not deployed. {gate['reason']}",
            "Train longer or on better data, or ask for less with --least-accuracy.",
        )
    return measures, gate


def fetch(cloud: Cloud, address: str, path: Path) -> Path:
    """Download s3://bucket/key to `path`, whole or not at all, unless it is there. Raises CloudError."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        bucket, _, key = address.removeprefix("s3://").partition("/")
        unfinished = path.with_suffix(".tmp")
        with translate_errors(f"download {address}"):
            cloud.client("s3").download_file(bucket, key, str(unfinished))
        unfinished.replace(path)
    return path


def _measure(artifact: Path, dataset: Dataset, threshold: float) -> dict[str, Any]:
    from scones.container.prediction import load_predictor
    from scones.model.artifact import unpack
    from scones.model.evaluation import evaluate_answers

    images = dataset.select("test")
    with tempfile.TemporaryDirectory(prefix="scones-model-") as folder:
        unpack(artifact, Path(folder))
        predictor = load_predictor(Path(folder), threads=0)
        answers = predictor.infer([predictor.decode(dataset.path(image).read_bytes()) for image in images])
    twins = {image.key for image in dataset.twins_in_training()}
    return evaluate_answers(
        np.array([answer.probabilities for answer in answers]),
        np.array([image.label for image in images]),
        dataset.classes,
        threshold,
        np.array([image.key in twins for image in images]),
    )


def describe_deployment(cloud: Cloud, plan: Plan, job: training_jobs.TrainingJob) -> endpoints.Deployment:
    """What the endpoint shall serve, with every request captured."""
    bucket = workspace.name_bucket(cloud)
    return endpoints.Deployment(
        endpoint=plan.endpoint,
        image=_name_image(cloud),
        artifact=job.artifact,
        role=workspace.ensure_role(cloud, bucket),
        capture=f"s3://{bucket}/captures",
    )


def deploy_application(cloud: Cloud, plan: Plan, tell: Tell = _ignore) -> dict[str, str]:
    """Create or update the stack, load the example of orders and bays; the stack's outputs."""
    stack = plan.settings.stack_name
    parameters = {
        "EndpointName": plan.endpoint,
        "Classes": ",".join(plan.classes),
        "Threshold": f"{plan.settings.threshold:g}",
        "MaxOod": MAX_OOD,
    }
    change_set = stacks.prepare(cloud, stack, plan.template, parameters)
    if change_set is None:
        return stacks.read_outputs(cloud, stack)
    outputs = stacks.execute(cloud, change_set, lambda name, status, reason: tell(f"{name} {status}"))
    tell("example orders")
    seed_bays(cloud, outputs["BaysTableName"])
    seed_orders(cloud, outputs["OrdersTableName"], ORDERS, plan.settings.seed)
    return outputs


def await_captures(cloud: Cloud, place: str, wanted: int, patience: float = 90) -> list[Capture]:
    """The captures in S3, once there are `wanted`: an endpoint delivers within a minute, AWS within a few.

    Returns those that there are after `patience` seconds; the report says how many there are.
    """
    deadline = time.monotonic() + patience
    while True:
        captures = list(read_captures(place, client=cloud.client("s3")))
        if len(captures) >= wanted or time.monotonic() > deadline:
            return captures
        time.sleep(2)
