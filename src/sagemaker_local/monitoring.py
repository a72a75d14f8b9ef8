"""Monitoring schedules: a processing job over the data that an endpoint captured, each time one is due.

Environment, paths and outputs are those of model-monitor-byoc-containers.md. AWS starts executions up to 20
minutes late; here they start on time.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sagemaker_local.errors import ApiError
from sagemaker_local.hosting import KIND as ENDPOINT
from sagemaker_local.schedules import next_time, now, previous_time, read_duration, read_hours
from sagemaker_local.store import Record

if TYPE_CHECKING:
    from sagemaker_local.plane import Plane

KIND = "monitoring-schedule"
EXECUTION = "monitoring-execution"
_PROCESSING = "/opt/ml/processing"
_TICK_SECONDS = 1.0
logger = logging.getLogger(__name__)


class Scheduler:
    """Starts executions when they are due, from one thread."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            for schedule in self._plane.store.list(KIND):
                due = schedule.get("NextTime")
                if schedule["MonitoringScheduleStatus"] == "Scheduled" and due and due <= now().timestamp():
                    self._start(schedule, datetime.fromtimestamp(due, UTC))

    def _start(self, schedule: Record, due: datetime) -> None:
        name = schedule["MonitoringScheduleName"]
        following = find_next(schedule["MonitoringScheduleConfig"], now())
        self._plane.store.change(KIND, name, lambda kept: kept.update(NextTime=following))
        try:
            start_execution(self._plane, schedule, due)
        except Exception:
            logger.exception("monitoring schedule %s", name)


def find_next(config: Mapping[str, Any], after: datetime) -> float | None:
    """When the schedule is due next; None for NOW, which is due once. Raises ApiError."""
    expression = config["ScheduleConfig"]["ScheduleExpression"]
    return None if expression == "NOW" else next_time(read_hours(expression), after).timestamp()


def start_execution(plane: Plane, schedule: Record, due: datetime) -> None:
    """Start the processing job of one execution, and keep the execution."""
    from sagemaker_local.api.processing_jobs import create_processing_job

    name = schedule["MonitoringScheduleName"]
    job = f"model-monitoring-{due:%Y%m%d%H%M}-{int(now().timestamp() * 1000) % 10**10:010d}"
    record = {
        "MonitoringScheduleName": name,
        "ScheduledTime": due.timestamp(),
        "CreationTime": now().timestamp(),
        "LastModifiedTime": now().timestamp(),
        "ProcessingJob": job,
        "EndpointName": schedule.get("EndpointName"),
        "MonitoringType": schedule.get("MonitoringType"),
    }
    try:
        request = make_job(plane, schedule, due, job)
        record["ProcessingJobArn"] = create_processing_job(plane, request)["ProcessingJobArn"]
    except ApiError as error:
        record |= {"MonitoringExecutionStatus": "Failed", "FailureReason": error.message}
    plane.store.add(EXECUTION, f"{name}/{job}", "", record)


def read_execution(plane: Plane, record: Record) -> Record:
    """The execution with the status of its processing job."""
    job = plane.store.find("processing-job", record["ProcessingJob"])
    if job is None:
        return record
    status = job["ProcessingJobStatus"]
    if status == "Completed" and job.get("ExitMessage", "").startswith("CompletedWithViolations"):
        status = "CompletedWithViolations"
    record |= {"MonitoringExecutionStatus": status, "LastModifiedTime": job["LastModifiedTime"]}
    return record | ({"FailureReason": job["FailureReason"]} if "FailureReason" in job else {})


def make_job(plane: Plane, schedule: Record, due: datetime, name: str) -> dict[str, Any]:
    """The CreateProcessingJob request of an execution. Raises ApiError."""
    config = schedule["MonitoringScheduleConfig"]
    definition = config["MonitoringJobDefinition"]
    start, end = find_window(config, due)
    endpoint = definition["MonitoringInputs"][0]["EndpointInput"]
    capture = _find_capture(plane, endpoint["EndpointName"])
    application = definition["MonitoringAppSpecification"]
    names = ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
    extras = ("StoppingCondition", "NetworkConfig")
    return {
        "ProcessingJobName": name,
        "AppSpecification": {key: application[key] for key in names if key in application},
        "RoleArn": definition["RoleArn"],
        "ProcessingResources": definition["MonitoringResources"],
        "ProcessingInputs": list(_describe_inputs(definition)),
        "ProcessingOutputConfig": {"Outputs": _describe_outputs(schedule, definition, endpoint, due)},
        "Environment": _describe_environment(schedule, definition, endpoint, (start, end), capture),
        **{key: definition[key] for key in extras if key in definition},
        # Not of the API: what was captured in the window, hour by hour, and where metrics go.
        "Captured": list(
            _list_hours(f"{capture}/{endpoint['EndpointName']}", endpoint["LocalPath"], start, end)
        ),
        "MetricsNamespace": _find_namespace(schedule),
        "MonitoringScheduleArn": schedule["MonitoringScheduleArn"],
    }


def find_window(config: Mapping[str, Any], due: datetime) -> tuple[datetime, datetime]:
    """Which captures an execution looks at. Raises ApiError."""
    schedule = config["ScheduleConfig"]
    if schedule["ScheduleExpression"] != "NOW":
        return previous_time(read_hours(schedule["ScheduleExpression"]), due), due
    start = read_duration(schedule.get("DataAnalysisStartTime", "-PT1H"))
    return due + start, due + read_duration(schedule.get("DataAnalysisEndTime", "-PT0H"))


def _find_capture(plane: Plane, name: str) -> str:
    record = plane.store.find(ENDPOINT, name)
    capture = (record or {}).get("Capture")
    if not capture:
        raise ApiError("ValidationException", f"Endpoint {name} does not exist or captures no data.")
    return str(capture["DestinationS3Uri"]).rstrip("/")


def _list_hours(source: str, local: str, start: datetime, end: datetime) -> Iterator[dict[str, str]]:
    """Prefix and folder of each hour, below whatever variants there are."""
    moment = start.replace(minute=0, second=0, microsecond=0)
    endpoint = source.rpartition("/")[2]
    while moment < end:
        yield {"S3Uri": f"{source}/", "Hour": f"{moment:%Y/%m/%d/%H}/", "LocalPath": f"{local}/{endpoint}"}
        moment += timedelta(hours=1)


_BASELINE = (
    ("ConstraintsResource", "baseline_constraints", "baseline/constraints"),
    ("StatisticsResource", "baseline_statistics", "baseline/stats"),
)
_SCRIPTS = (
    ("RecordPreprocessorSourceUri", "record_preprocessor_script", "code/preprocessing"),
    ("PostAnalyticsProcessorSourceUri", "post_analytics_processor_script", "code/postprocessing"),
)


def _list_files(definition: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """URI, environment name and folder of the baseline and of scripts."""
    for member, variable, folder in _BASELINE:
        if uri := definition.get("BaselineConfig", {}).get(member, {}).get("S3Uri"):
            yield uri, variable, folder
    for member, variable, folder in _SCRIPTS:
        if uri := definition["MonitoringAppSpecification"].get(member):
            yield uri, variable, folder


def _describe_inputs(definition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for uri, variable, folder in _list_files(definition):
        source = {"S3Uri": uri, "LocalPath": f"{_PROCESSING}/{folder}", "S3DataType": "S3Prefix"}
        yield {"InputName": variable, "S3Input": {**source, "S3InputMode": "File"}}


def _describe_outputs(
    schedule: Record, definition: Mapping[str, Any], endpoint: Mapping[str, Any], due: datetime
) -> list[dict[str, Any]]:
    below = f"{endpoint['EndpointName']}/{schedule['MonitoringScheduleName']}/{due:%Y/%m/%d/%H}"
    outputs = [entry["S3Output"] for entry in definition["MonitoringOutputConfig"]["MonitoringOutputs"]]
    return [
        {
            "OutputName": f"monitoring-output-{number}",
            "S3Output": {
                "S3UploadMode": "EndOfJob",
                **output,
                "S3Uri": f"{output['S3Uri'].rstrip('/')}/{below}",
            },
        }
        for number, output in enumerate(outputs, 1)
    ]


def _describe_environment(
    schedule: Record,
    definition: Mapping[str, Any],
    endpoint: Mapping[str, Any],
    window: tuple[datetime, datetime],
    capture: str,
) -> dict[str, str]:
    kind = {"sagemakerCaptureJson": {"captureIndexNames": ["endpointInput", "endpointOutput"]}}
    output = definition["MonitoringOutputConfig"]["MonitoringOutputs"][0]["S3Output"]
    start, end = (moment.isoformat(timespec="seconds").replace("+00:00", "Z") for moment in window)
    own = {
        "dataset_format": json.dumps(kind),
        "dataset_source": endpoint["LocalPath"],
        "start_time": start,
        "end_time": end,
        "output_path": output["LocalPath"],
        "publish_cloudwatch_metrics": "Enabled",
        "sagemaker_endpoint_name": endpoint["EndpointName"],
        "sagemaker_monitoring_schedule_name": schedule["MonitoringScheduleName"],
        "sagemaker_endpoint_datacapture_prefix": capture,
    }
    files = {
        variable: f"{_PROCESSING}/{folder}/{uri.rpartition('/')[2]}"
        for uri, variable, folder in _list_files(definition)
    }
    return {**own, **files, **definition.get("Environment", {})}


def _find_namespace(schedule: Record) -> str:
    kind = "model-metrics" if schedule.get("MonitoringType") == "ModelQuality" else "data-metrics"
    return f"aws/sagemaker/Endpoints/{kind}"
