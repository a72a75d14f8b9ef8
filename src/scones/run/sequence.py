"""The steps in their order: how each is found done, how it is done, and what it has made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from scones.aws import endpoints, model_packages
from scones.aws.endpoints import Deployment, Endpoint
from scones.aws.sessions import Cloud
from scones.aws.training_jobs import TrainingJob
from scones.data.dataset import Dataset, Image
from scones.errors import DataError, UsageError
from scones.report.page import Run, write_report
from scones.report.record import load_run, save_run
from scones.run import application, record, steps, traffic
from scones.run.plan import Plan, Progress
from scones.run.summary import MODEL


@dataclass
class Work:
    """A run under way: each step leaves here what it found or made, for those after it."""

    cloud: Cloud
    plan: Plan
    report: Path
    staged: steps.Staged = field(init=False)
    job: TrainingJob = field(init=False)
    measures: dict[str, Any] = field(init=False)
    gate: dict[str, Any] = field(init=False)
    package: str = field(init=False)
    endpoint: Endpoint = field(init=False)
    outputs: dict[str, str] = field(init=False)
    images: dict[str, Image] = field(init=False)
    run: Run = field(init=False)

    @property
    def dataset(self) -> Dataset:
        return self.staged.local

    @cached_property
    def deployment(self) -> Deployment:
        """What the endpoint shall serve, once there is a job."""
        return steps.describe_deployment(self.cloud, self.plan, self.job)

    @property
    def wave(self) -> str:
        """Which check-ins are this model's: a new deployment is tested anew."""
        return self.deployment.version.rpartition("-")[2]


@dataclass(frozen=True)
class Step:
    """`find` leaves in the work what is there already, and says whether it was all; `make` makes it, anew
    if its last argument says so; `tell` names what there is then, in a few lines."""

    name: str
    title: str
    find: Callable[[Work], bool]
    make: Callable[[Work, Progress, bool], None]
    tell: Callable[[Work], list[str]]


def require(step: Step, work: Work, for_step: str) -> None:
    """Find what `step` makes, an input of another step. Raises UsageError when it is not there."""
    if not step.find(work):
        raise UsageError(
            f"The step {for_step} needs what the step {step.name} makes, and that is not there, or not up to "
            "date.",
            f"Do that step first (scones run --only {step.name}), or everything (scones run); with the same "
            "options.",
        )


def _find_data(work: Work) -> bool:
    if found := steps.find_data(work.cloud, work.plan):
        work.staged = found
    return found is not None


def _stage(work: Work, progress: Progress, again: bool) -> None:
    work.staged = steps.stage_data(work.cloud, work.plan, progress, again)


def _tell_data(work: Work) -> list[str]:
    source = work.dataset.source
    told = ", ".join(f"{count} {split}" for split, count in work.dataset.totals().items())
    lines = [f"{source.get('kind')}: {told}"]
    if source.get("kind") == "sample":
        lines.append(f"This is the drawn sample, not real photos. {source.get('note', '')}".rstrip())
    return [*lines, work.staged.remote]


def _find_training(work: Work) -> bool:
    if found := steps.find_training(work.cloud, work.plan, work.staged):
        work.job = found
    return found is not None


def _train(work: Work, progress: Progress, again: bool) -> None:
    work.job = steps.train_model(
        work.cloud, work.plan, work.staged, lambda line: progress(f"Training: {line[:60]}", 0, 0), again
    )


def _tell_training(work: Work) -> list[str]:
    return [f"{work.job.arn}, {work.job.seconds:.0f} s of training", work.job.artifact]


def _find_evaluation(work: Work) -> bool:
    found = steps.find_evaluation(work.plan, work.staged, work.job)
    if found:
        work.measures, work.gate = found
    return found is not None


def _evaluate(work: Work, progress: Progress, again: bool) -> None:
    work.measures, work.gate = steps.evaluate_model(work.cloud, work.plan, work.staged, work.job)


def _find_model(work: Work) -> bool:
    found = model_packages.find_model(work.cloud, steps.GROUP, work.job.artifact)
    if found:
        work.package = found
    return found is not None


def _register(work: Work, progress: Progress, again: bool) -> None:
    reason = work.gate["reason"]
    work.package = model_packages.register_model(work.cloud, steps.GROUP, work.deployment, reason, again)


def _find_endpoint(work: Work) -> bool:
    # It comes back when the local cloud starts.
    found = endpoints.await_settled(work.cloud, work.plan.endpoint)
    if found is None or found.status != "InService" or found.config != work.deployment.version:
        return False
    work.endpoint = found
    return True


def _deploy_endpoint(work: Work, progress: Progress, again: bool) -> None:
    if again:
        progress("Deleting the endpoint", 0, 0)
        endpoints.await_settled(work.cloud, work.plan.endpoint)
        endpoints.delete_endpoint(work.cloud, work.plan.endpoint)
    work.endpoint = endpoints.deploy_endpoint(
        work.cloud, work.deployment, lambda status: progress(f"Deploying the endpoint: {status}", 0, 0)
    )


def _find_application(work: Work) -> bool:
    if found := application.find_application(work.cloud, work.plan):
        work.outputs = found
    return found is not None


def _deploy_application(work: Work, progress: Progress, again: bool) -> None:
    work.outputs = application.deploy_application(
        work.cloud, work.plan, lambda line: progress(f"Deploying: {line}", 0, 0)
    )


def _find_images(work: Work) -> bool:
    wave = traffic.find_wave(work.cloud, work.outputs, work.dataset, work.wave)
    most = work.plan.checkins
    if found := traffic.find_images(work.cloud, work.outputs, work.dataset, wave, most):
        work.images = found
    return found is not None


def _send_images(work: Work, progress: Progress, again: bool) -> None:
    wave = traffic.find_wave(work.cloud, work.outputs, work.dataset, work.wave, again)
    most = work.plan.checkins
    work.images = traffic.send_images(work.cloud, work.outputs, work.dataset, wave, most, progress)


def _find_record(work: Work) -> bool:
    """Whether the record that is kept is of these very check-ins and measures, and complete."""
    try:
        run = load_run(work.plan.folder)
    except DataError:
        return False
    summary, workflow = run.summary, run.summary["workflow"]
    complete = summary["captured_records"] >= workflow["routed"] + workflow["low_confidence"]
    keys = {traffic.parse_checkin(name).key for name in work.images}
    same = {row.key for row in run.checkins} == keys and summary["gate"] == work.gate
    work.run = run
    return complete and same and summary["model"] == {name: work.measures[name] for name in MODEL}


def _collect(work: Work, progress: Progress, again: bool) -> None:
    made = record.Made(
        work.staged, work.job, work.measures, work.gate, work.package, work.endpoint, work.outputs
    )
    place = f"{work.deployment.capture}/{work.endpoint.name}"
    work.run = record.collect_run(work.cloud, made, place, work.images, work.report)
    save_run(work.run, work.plan.folder)


def _tell_record(work: Work) -> list[str]:
    return [f"{work.run.summary['captured_records']} records of {len(work.run.checkins)} check-ins"]


def _write_report(work: Work, progress: Progress, again: bool) -> None:
    if work.run.summary["report"] != str(work.report):
        work.run = replace(work.run, summary={**work.run.summary, "report": str(work.report)})
        save_run(work.run, work.plan.folder)
    write_report(work.run, work.report)


STEPS = (
    Step("data", "Staging the data", _find_data, _stage, _tell_data),
    Step("train", "Training", _find_training, _train, _tell_training),
    Step("evaluate", "Evaluating on the test images", _find_evaluation, _evaluate,
         lambda work: [work.gate["reason"]]),
    Step("register", "Registering the model", _find_model, _register, lambda work: [work.package]),
    Step("endpoint", "Deploying the endpoint", _find_endpoint, _deploy_endpoint,
         lambda work: [work.endpoint.arn]),
    Step("app", "Deploying the application", _find_application, _deploy_application,
         lambda work: [work.outputs["RouteDeliveryArn"]]),
    Step("checkins", "Checking in with the test images", _find_images, _send_images,
         lambda work: [f"{len(work.images)} in s3://{work.outputs['BucketName']}/incoming/"]),
    Step("captures", "Reading what the endpoint captured", _find_record, _collect, _tell_record),
    # A page is made at once, so it is always made: with the code as it is now.
    Step("report", "Writing the report", lambda work: False, _write_report, lambda work: [str(work.report)]),
)  # fmt: skip
