"""Concurrency: the cap and its queue, reserved concurrency, nested invocations, eviction."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.lambdas.pool import Limits

from .conftest import Cloud
from .test_environment import is_running
from .test_invoke import invoke, wait_until

Start = Callable[[Limits], Cloud]

SPAN = """
import os, time
def handler(event, context):
    began = time.time()
    time.sleep(event)
    return [began, time.time(), os.getpid()]
"""


def spans(cloud: Cloud, name: str, seconds: float, times: int) -> list[tuple[float, float, int]]:
    with ThreadPoolExecutor(times) as threads:
        return [answer[0] for answer in threads.map(lambda _: invoke(cloud, name, seconds), range(times))]


def most_at_once(found: list[tuple[float, float, int]]) -> int:
    return max(sum(began <= moment < ended for began, ended, _ in found) for moment, _, _ in found)


def test_invocations_beyond_the_cap_wait_in_line(start: Start) -> None:
    cloud = start(Limits(concurrency=2))
    cloud.create_function("spans", SPAN)
    found = spans(cloud, "spans", 0.2, 6)
    assert most_at_once(found) == 2
    assert len({pid for _, _, pid in found}) == 2


def test_who_waits_too_long_is_throttled(start: Start) -> None:
    cloud = start(Limits(concurrency=1, queue_seconds=0.3))
    cloud.create_function("spans", SPAN)
    with ThreadPoolExecutor() as threads:
        running = threads.submit(invoke, cloud, "spans", 2)
        time.sleep(0.5)
        with pytest.raises(ClientError, match="TooManyRequestsException") as refused:
            invoke(cloud, "spans", 0)
        assert refused.value.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert len(running.result()[0]) == 3


def test_reserved_concurrency_throttles_at_once(cloud: Cloud) -> None:
    cloud.create_function("reserved", SPAN)
    client = cloud.client("lambda")
    client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=1)
    with ThreadPoolExecutor() as threads:
        running = threads.submit(invoke, cloud, "reserved", 1)
        time.sleep(0.4)
        with pytest.raises(ClientError) as refused:
            invoke(cloud, "reserved", 0)
        assert refused.value.response["Error"]["Code"] == "TooManyRequestsException"
        assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        running.result()
    client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException"):
        invoke(cloud, "reserved", 0)
    client.delete_function_concurrency(FunctionName="reserved")
    assert invoke(cloud, "reserved", 0)[0]


CALLS = """
import boto3, json
def handler(event, context):
    if not event: return "done"
    answer = boto3.client("lambda").invoke(FunctionName=context.function_name, Payload=json.dumps(event - 1))
    return json.loads(answer["Payload"].read())
"""


def test_a_handler_that_invokes_does_not_wait_for_itself(start: Start) -> None:
    cloud = start(Limits(concurrency=1, queue_seconds=3))
    cloud.create_function("calls", CALLS)
    assert invoke(cloud, "calls", 1)[0] == "done"


def test_a_loop_of_functions_is_stopped(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from ministack.services import lambda_svc

    monkeypatch.setattr(lambda_svc, "MAX_INVOKE_DEPTH", 2)  # 16, as on AWS, would take as many processes
    cloud.create_function("calls", CALLS)
    assert invoke(cloud, "calls", 1)[0] == "done"
    assert "recursive loop" in json.dumps(invoke(cloud, "calls", 2)[0])


def test_idle_environments_end(start: Start) -> None:
    cloud = start(Limits(idle_seconds=0.4))
    cloud.create_function("spans", SPAN)
    pid = invoke(cloud, "spans", 0)[0][2]
    assert is_running(pid)
    wait_until(lambda: not is_running(pid) and not [*Path(cloud.directory, "lambda/environments").iterdir()])
    assert invoke(cloud, "spans", 0)[0][2] != pid


def test_the_number_of_environments_is_capped(start: Start) -> None:
    cloud = start(Limits(environments=2))
    for name in "abc":
        cloud.create_function(name, SPAN)
    pids: dict[str, Any] = {name: invoke(cloud, name, 0)[0][2] for name in "abc"}
    wait_until(lambda: not is_running(pids["a"]))
    assert is_running(pids["b"])
    assert is_running(pids["c"])


def test_closing_ends_what_runs_and_what_waits(start: Start, tmp_path: Path) -> None:
    cloud = start(Limits(concurrency=1))
    cloud.create_function("spans", SPAN, Timeout=60)
    with ThreadPoolExecutor() as threads:
        calls = [threads.submit(invoke, cloud, "spans", 30) for _ in range(2)]
        wait_until(lambda: any(cloud.directory.glob("lambda/environments/*")))
        time.sleep(0.3)
        cloud.close()
        outcomes = sorted(str(call.exception() or call.result()[0]["errorType"]) for call in calls)
    assert "TooManyRequestsException" in outcomes[0]
    assert outcomes[1] == "Runtime.ExitError"
