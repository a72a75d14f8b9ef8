"""The steps up to a deployed model. Each returns what it made; a second time, the same at once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scones import __version__
from scones.aws import endpoints, training_jobs, workspace
from scones.aws.checkins import find_photo
from scones.aws.sessions import Cloud, translate_errors
from scones.data import Dataset, read_dataset, stage
from scones.data.upload import upload
from scones.errors import CloudError, DataError, ModelError
from scones.files import split_address, write_aside, write_text
from scones.run.plan import IMAGE, Plan, Progress, ignore_progress, make_digest

Tell = Callable[[str], None]
GROUP = "scones-vehicles"


def ignore_line(line: str) -> None:
    """For callers who tell nothing."""


@dataclass(frozen=True)
class Staged:
    """The dataset on this machine, and the same in S3."""

    local: Dataset
    remote: str


def find_data(cloud: Cloud, plan: Plan) -> Staged | None:
    """The dataset of this plan if it is complete in both places."""
    workspace_bucket = workspace.name_bucket(cloud)  # first: without credentials all that follows is in vain
    local = _read_staged(plan)
    if local is None:
        return None
    remote = _place_data(workspace_bucket, local)
    bucket, key = split_address(remote)
    # dataset.json is written last: where it lies, everything does.
    return Staged(local, remote) if find_photo(cloud, bucket, f"{key}/dataset.json").etag else None


def stage_data(cloud: Cloud, plan: Plan, progress: Progress = ignore_progress, again: bool = False) -> Staged:
    """Stage the source to a folder and to the workspace bucket, what is not there yet.

    `again` reads the source again, too.
    """
    settings, local = plan.settings, None if again else _read_staged(plan)
    if local is None:
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
    return Staged(local, upload(local, _place_data(bucket, local), progress).location)


def _read_staged(plan: Plan) -> Dataset | None:
    try:
        return read_dataset(plan.staged)
    except DataError:
        return None


def _place_data(bucket: str, local: Dataset) -> str:
    return f"s3://{bucket}/datasets/{local.digest.partition(':')[2][:12]}"


def train_model(
    cloud: Cloud, plan: Plan, staged: Staged, tell: Tell = ignore_line, again: bool = False
) -> training_jobs.TrainingJob:
    """Run the training job of this dataset and these hyperparameters, or find that it has run.

    `again` starts another one beside one that has completed. Raises ModelError when the job fails or is
    stopped, CloudError.
    """
    spec = _describe_training(cloud, plan, staged, again)
    training_jobs.start_training_job(cloud, spec)
    for found in training_jobs.follow_training_job(cloud, spec.name):
        if isinstance(found, str):
            tell(found)
        elif found.status == "Stopped":
            raise ModelError(f"The training job {spec.name} was stopped.", "Start again: scones run.")
        elif found.status == "Completed":
            return found
    raise CloudError(f"The training job {spec.name} ended without a result.")


def find_training(cloud: Cloud, plan: Plan, staged: Staged) -> training_jobs.TrainingJob | None:
    """The latest training job of this dataset and these hyperparameters, if it has completed."""
    job = training_jobs.read_training_job(cloud, _find_name(cloud, _name_training(plan, staged)))
    return job if job and job.status == "Completed" else None


def _describe_training(cloud: Cloud, plan: Plan, staged: Staged, again: bool) -> training_jobs.TrainingSpec:
    from scones.container.training import METRICS

    bucket = workspace.name_bucket(cloud)
    return training_jobs.TrainingSpec(
        name=_find_name(cloud, _name_training(plan, staged), again),
        image=_name_image(cloud),
        role=workspace.ensure_role(cloud, bucket),
        channels={
            "train": f"{staged.remote}/train/",
            "validation": f"{staged.remote}/validation/",
            "train_lst": f"{staged.remote}/train.lst",
            "validation_lst": f"{staged.remote}/validation.lst",
        },
        output=f"s3://{bucket}/models",
        hyperparameters=_list_hyperparameters(plan),
        metrics=METRICS,
    )


def _list_hyperparameters(plan: Plan) -> dict[str, str]:
    return {
        "class_names": ",".join(plan.classes),
        "num_classes": str(len(plan.classes)),
        "seed": str(plan.settings.seed),
        **plan.hyperparameters,
    }


def _name_training(plan: Plan, staged: Staged) -> str:
    given = repr(sorted(_list_hyperparameters(plan).items()))
    return f"scones-{make_digest(staged.local.digest, given, __version__)}"


def _find_name(cloud: Cloud, base: str, again: bool = False) -> str:
    """The latest job of base, base-1, base-2, … that has completed or is under way, or else the next name.

    SageMaker never frees a job's name, so a job that failed, or shall be done again, gets a successor.
    """
    jobs: list[training_jobs.TrainingJob] = []
    while job := training_jobs.read_training_job(cloud, following := f"{base}-{len(jobs)}" if jobs else base):
        jobs.append(job)
    useful = [job for job in jobs if job.status not in ("Failed", "Stopped")]
    if not useful or (again and useful[-1].status == "Completed"):
        return following
    return useful[-1].name


def _name_image(cloud: Cloud) -> str:
    return IMAGE.format(account=cloud.account, region=cloud.region, version=__version__)


def evaluate_model(
    cloud: Cloud, plan: Plan, staged: Staged, job: training_jobs.TrainingJob
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's measures on the test images, and the gate's verdict. Raises ModelError below the gate.

    The measures are kept beside the downloaded model.
    """
    artifact = fetch(cloud, job.artifact, plan.folder / "models" / job.name / "model.tar.gz")
    measures = {**_measure(artifact, staged.local, plan.settings.threshold), "train_seconds": job.seconds}
    write_text(_place_measures(plan, staged, job), json.dumps(measures, indent=2) + "\n")
    return measures, _judge(plan, measures)


def find_evaluation(
    plan: Plan, staged: Staged, job: training_jobs.TrainingJob
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """What `evaluate_model` found on these images at this threshold before, judged by this plan's gate."""
    try:
        measures = json.loads(_place_measures(plan, staged, job).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return measures, _judge(plan, measures)


def _place_measures(plan: Plan, staged: Staged, job: training_jobs.TrainingJob) -> Path:
    asked = make_digest(staged.local.digest, f"{plan.settings.threshold:g}", __version__)
    return plan.folder / "models" / job.name / f"evaluation-{asked}.json"


def _judge(plan: Plan, measures: dict[str, Any]) -> dict[str, Any]:
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
    return gate


def fetch(cloud: Cloud, address: str, path: Path) -> Path:
    """Download s3://bucket/key to `path`, whole or not at all, unless it is there. Raises CloudError."""
    if not path.is_file():
        bucket, key = split_address(address)
        with translate_errors(f"download {address}"), write_aside(path) as unfinished:
            cloud.client("s3").download_file(bucket, key, str(unfinished))
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
