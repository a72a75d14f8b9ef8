"""Monitoring schedules and their executions."""

from __future__ import annotations

from typing import Any

from sagemaker_local import monitoring
from sagemaker_local.api.records import Listing, list_records, new_record
from sagemaker_local.api.tags import forget_tags, keep_tags
from sagemaker_local.errors import conflict, missing, reject
from sagemaker_local.monitoring import EXECUTION, KIND, find_next, read_execution, start_execution
from sagemaker_local.plane import Plane
from sagemaker_local.schedules import now
from sagemaker_local.store import Record

_LISTING = Listing("MonitoringScheduleSummaries", "MonitoringScheduleName", "MonitoringScheduleStatus")
_EXECUTIONS = Listing(
    "MonitoringExecutionSummaries", "MonitoringScheduleName", "MonitoringExecutionStatus", "Descending"
)


def create_monitoring_schedule(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateMonitoringSchedule; NOW starts its one execution at once."""
    name, config = request["MonitoringScheduleName"], request["MonitoringScheduleConfig"]
    _check_config(config)
    arn = plane.arn(KIND, name)
    record = new_record(
        request,
        MonitoringScheduleArn=arn,
        MonitoringScheduleStatus="Scheduled",
        MonitoringType=config.get("MonitoringType", "DataQuality"),
        EndpointName=_find_endpoint(config),
        NextTime=find_next(config, now()),
    )
    if not plane.store.add(KIND, name, arn, record):
        raise conflict(f"Monitoring schedule with name {name} already exists.")
    keep_tags(plane, arn, request.get("Tags", ()))
    if record["NextTime"] is None:
        start_execution(plane, record, now())
    return {"MonitoringScheduleArn": arn}


def _check_config(config: dict[str, Any]) -> None:
    definition = config.get("MonitoringJobDefinition")
    if "ScheduleConfig" not in config or not definition:
        raise reject(
            "Give ScheduleConfig and MonitoringJobDefinition; job definitions by name are not available here."
        )
    inputs = definition["MonitoringInputs"]
    if len(inputs) != 1 or "EndpointInput" not in inputs[0]:
        raise reject("MonitoringInputs: give exactly one EndpointInput.")
    monitoring.find_window(config, now().replace(minute=0, second=0, microsecond=0))


def _find_endpoint(config: dict[str, Any]) -> str:
    return str(config["MonitoringJobDefinition"]["MonitoringInputs"][0]["EndpointInput"]["EndpointName"])


def update_monitoring_schedule(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateMonitoringSchedule."""
    config = request["MonitoringScheduleConfig"]
    _check_config(config)
    changes = {
        "MonitoringScheduleConfig": config,
        "EndpointName": _find_endpoint(config),
        "NextTime": find_next(config, now()),
    }
    return _change(plane, request["MonitoringScheduleName"], **changes)


def start_monitoring_schedule(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """StartMonitoringSchedule."""
    record = _find(plane, request["MonitoringScheduleName"])
    due = find_next(record["MonitoringScheduleConfig"], now())
    _change(plane, request["MonitoringScheduleName"], MonitoringScheduleStatus="Scheduled", NextTime=due)
    return {}


def stop_monitoring_schedule(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """StopMonitoringSchedule: no more executions; a running one ends by itself."""
    _change(plane, request["MonitoringScheduleName"], MonitoringScheduleStatus="Stopped")
    return {}


def delete_monitoring_schedule(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteMonitoringSchedule, with the list of its executions."""
    record = _find(plane, request["MonitoringScheduleName"])
    plane.store.remove(KIND, record["MonitoringScheduleName"])
    for execution in _executions(plane, record["MonitoringScheduleName"]):
        plane.store.remove(EXECUTION, f"{record['MonitoringScheduleName']}/{execution['ProcessingJob']}")
    forget_tags(plane, record["MonitoringScheduleArn"])
    return {}


def describe_monitoring_schedule(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeMonitoringSchedule, with the last execution."""
    record = _find(plane, request["MonitoringScheduleName"])
    executions = _executions(plane, record["MonitoringScheduleName"])
    return record | ({"LastMonitoringExecutionSummary": executions[-1]} if executions else {})


def list_monitoring_schedules(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListMonitoringSchedules."""
    endpoint = request.get("EndpointName")
    found = [record for record in plane.store.list(KIND) if endpoint in (None, record["EndpointName"])]
    return list_records(request, found, _LISTING)


def list_monitoring_executions(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListMonitoringExecutions."""
    found = [
        record
        for record in _executions(plane, request.get("MonitoringScheduleName"))
        if request.get("EndpointName") in (None, record["EndpointName"])
    ]
    return list_records(request, found, _EXECUTIONS)


def _executions(plane: Plane, name: str | None) -> list[Record]:
    return [
        read_execution(plane, record)
        for record in plane.store.list(EXECUTION)
        if name in (None, record["MonitoringScheduleName"])
    ]


def _find(plane: Plane, name: str) -> Record:
    record = plane.store.find(KIND, name)
    if record is None:
        raise missing(f"Monitoring Schedule {plane.arn(KIND, name)} not found")
    return record


def _change(plane: Plane, name: str, **changes: Any) -> dict[str, Any]:
    _find(plane, name)
    record = plane.store.change(KIND, name, lambda kept: kept.update(changes))
    return {"MonitoringScheduleArn": (record or {}).get("MonitoringScheduleArn")}
