"""Application Auto Scaling: answers by botocore's models, decisions, and real workers that come and go."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from sagemaker_local.endpoints import Cloud, EndpointFleet, EndpointSpec, Limits, VariantSpec
from sagemaker_local.endpoints.measurement import Load
from sagemaker_local.scaling import Autoscaler, ScalingError, Timing
from sagemaker_local.scaling.tracking import CONCURRENCY, INVOCATIONS, Series, Tracking, decide

RESOURCE = "endpoint/bikes/variant/AllTraffic"
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": RESOURCE,
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
TIMING = Timing(periods_out=3, periods_in=5)


def describe_policy(metric: str, target: float, **more: Any) -> dict[str, Any]:
    specification = {"PredefinedMetricType": metric}
    configuration = {"TargetValue": target, "PredefinedMetricSpecification": specification, **more}
    return {
        **TARGET, "PolicyName": "follow", "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": configuration,
    }  # fmt: skip


ONE = Load(1, 1, 0, 0.0)


def make(folder: Path, load: Load | None = ONE) -> Autoscaler:
    async def refuse(resource: str, count: int) -> None:
        raise AssertionError

    return Autoscaler(folder, lambda resource: load, refuse)


def test_answers_fit_botocores_models_and_survive_a_restart(tmp_path: Path) -> None:
    model = botocore.session.get_session().get_service_model("application-autoscaling")

    def check(operation: str, response: dict[str, Any]) -> dict[str, Any]:
        report = ParamValidator().validate(response, model.operation_model(operation).output_shape)
        assert not report.has_errors(), report.generate_report()
        return response

    scaler = make(tmp_path)
    arn = check(
        "RegisterScalableTarget",
        scaler.register_scalable_target({**TARGET, "MinCapacity": 1, "MaxCapacity": 4}),
    )
    check("PutScalingPolicy", scaler.put_scaling_policy(describe_policy(INVOCATIONS, 70.0)))
    scaler = make(tmp_path)
    [target] = check(
        "DescribeScalableTargets", scaler.describe_scalable_targets(TARGET | {"ResourceIds": [RESOURCE]})
    )["ScalableTargets"]
    assert (target["ScalableTargetARN"], target["MaxCapacity"]) == (arn["ScalableTargetARN"], 4)
    scaler.register_scalable_target({**TARGET, "MaxCapacity": 6})
    assert scaler.describe_scalable_targets(TARGET)["ScalableTargets"][0]["MinCapacity"] == 1
    [policy] = check("DescribeScalingPolicies", scaler.describe_scaling_policies(TARGET))["ScalingPolicies"]
    assert policy["PolicyName"] == "follow"
    check("DescribeScalingActivities", scaler.describe_scaling_activities(TARGET))
    scaler.delete_scaling_policy({**TARGET, "PolicyName": "follow"})
    scaler.deregister_scalable_target(TARGET)
    assert scaler.describe_scalable_targets(TARGET)["ScalableTargets"] == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.register_scalable_target(TARGET), "required"),
        (lambda s: s.register_scalable_target({**TARGET, "MinCapacity": 3, "MaxCapacity": 2}), "less"),
        (lambda s: s.register_scalable_target({**TARGET, "MinCapacity": 0, "MaxCapacity": 2}), "least 1"),
        (lambda s: s.register_scalable_target({**TARGET, "ServiceNamespace": "ecs"}), "Only"),
        (lambda s: s.register_scalable_target({**TARGET, "ResourceId": "table/x"}), "Unsupported"),
        (lambda s: s.put_scaling_policy(describe_policy(INVOCATIONS, 1)), "No scalable target"),
        (lambda s: s.deregister_scalable_target(TARGET), "No scalable target"),
        (lambda s: s.delete_scaling_policy({**TARGET, "PolicyName": "x"}), "No scaling policy"),
    ],
)
def test_refusals_have_awss_codes(tmp_path: Path, call: Callable[[Autoscaler], object], words: str) -> None:
    with pytest.raises(ScalingError, match=words) as caught:
        call(make(tmp_path))
    unknown = words.startswith("No scal")
    assert caught.value.code == ("ObjectNotFoundException" if unknown else "ValidationException")


def test_policies_on_unknown_metrics_and_variants_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScalingError, match="not found"):
        make(tmp_path, None).register_scalable_target({**TARGET, "MinCapacity": 1, "MaxCapacity": 4})
    scaler = make(tmp_path)
    scaler.register_scalable_target({**TARGET, "MinCapacity": 1, "MaxCapacity": 4})
    for policy, words in (
        (describe_policy("SageMakerVariantProvisionedConcurrencyUtilization", 1), "predefined metrics"),
        (describe_policy(INVOCATIONS, 0), "greater than 0"),
        ({**TARGET, "PolicyName": "x", "PolicyType": "StepScaling"}, "TargetTrackingScaling"),
    ):
        with pytest.raises(ScalingError, match=words):
            scaler.put_scaling_policy(policy)


def test_a_damaged_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "scaling.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        make(tmp_path)
    assert (tmp_path / "scaling.json").read_text() == "{"


@pytest.mark.parametrize(
    ("values", "instances", "wanted"),
    [
        ([11, 11], 1, 1),  # not long enough
        ([11, 9, 11], 1, 1),  # not all the time
        ([11, 11, 11], 1, 2),
        ([11, 30, 55], 2, 11),
        ([9.5] * 5, 4, 4),  # between 90% and the target
        ([4, 4, 4, 4], 4, 4),
        ([2, 2, 2, 2, 4], 4, 2),  # the busiest of the periods counts
        ([0] * 5, 4, 1),
    ],
)
def test_decisions(values: list[float], instances: int, wanted: int) -> None:
    assert decide(deque(values), Tracking(INVOCATIONS, 10), instances, TIMING) == wanted


def test_scale_in_can_be_disabled() -> None:
    assert decide(deque([0.0] * 5), Tracking(INVOCATIONS, 10, may_scale_in=False), 4, TIMING) == 4


def test_metrics_are_per_minute_and_per_instance() -> None:
    invocations, concurrency = Series(INVOCATIONS, deque()), Series(CONCURRENCY, deque())
    for series in (invocations, concurrency):
        series.observe(Load(2, 2, 100, 10.0), 0.0, 30)
        series.observe(Load(2, 2, 130, 40.0), 29.0, 30)
        series.observe(Load(2, 2, 160, 190.0), 30.0, 30)
    assert list(invocations.values) == [60.0]  # 60 in half a minute on 2 instances
    assert list(concurrency.values) == [3.0]  # 6 under way in the mean on 2 instances


def run_steps(
    tmp_path: Path,
    steps: list[float],
    cooldown: int,
    set_capacity: Callable[[str, int], Awaitable[None]] | None = None,
) -> tuple[list[int], Autoscaler]:
    """The capacities asked for when the concurrency per instance is `steps[n]` in the n-th period of 10 s."""
    asked: list[int] = []
    state = {"load": Load(1, 1, 0, 0.0)}

    async def change(resource: str, count: int) -> None:
        asked.append(count)
        state["load"] = Load(count, count, state["load"].invocations, state["load"].busy_seconds)

    async def go() -> Autoscaler:
        scaler = Autoscaler(tmp_path, lambda _: state["load"], set_capacity or change, TIMING)
        scaler.register_scalable_target({**TARGET, "MinCapacity": 1, "MaxCapacity": 4})
        more = {"ScaleOutCooldown": cooldown, "ScaleInCooldown": cooldown}
        scaler.put_scaling_policy(describe_policy(CONCURRENCY, 1.0, **more))
        for number, step in enumerate([0.0, *steps]):
            before = state["load"]
            busy = before.busy_seconds + step * before.instances * 10
            state["load"] = Load(before.instances, before.desired, before.invocations + 1, busy)
            scaler._follower.evaluate(time.monotonic() + number * 10)
            for _ in range(3):
                await asyncio.sleep(0)
        return scaler

    return asked, asyncio.run(go())


def test_cooldowns_hold_back_the_next_change(tmp_path: Path) -> None:
    assert run_steps(tmp_path / "a", [1.5] * 8, cooldown=0)[0] == [2, 3]
    assert run_steps(tmp_path / "b", [1.5] * 8, cooldown=10_000)[0] == [2]
    assert run_steps(tmp_path / "c", [9.0] * 4 + [0.0] * 7, cooldown=0)[0] == [4, 1]
    assert run_steps(tmp_path / "d", [9.0] * 4 + [0.0] * 7, cooldown=10_000)[0] == [4]


def test_a_change_that_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    async def fail(resource: str, count: int) -> None:
        raise RuntimeError("no room")

    _, scaler = run_steps(tmp_path, [5.0] * 8, 0, fail)
    activities = scaler.describe_scaling_activities(TARGET)["ScalingActivities"]
    assert [each["StatusCode"] for each in activities] == ["Failed", "Failed"]
    assert "no room" in activities[0]["StatusMessage"]


def test_load_makes_workers_grow_to_the_maximum_and_back_without_a_failed_request(tmp_path: Path) -> None:
    program = str(Path(__file__).parents[1] / "endpoints" / "container_program.py")
    nowhere = Cloud(*([lambda *_: None] * 4))  # type: ignore[arg-type]
    timing = Timing(high_resolution_period_s=0.2, periods_out=3, periods_in=5)

    async def go() -> None:
        fleet = EndpointFleet(nowhere, tmp_path, Limits(startup_s=30))

        async def set_capacity(resource: str, count: int) -> None:
            await fleet.set_weights_and_capacities("bikes", {"AllTraffic": (None, count)})

        scaler = Autoscaler(tmp_path, lambda _: fleet.read_load("bikes", "AllTraffic"), set_capacity, timing)
        await fleet.open()
        variant = VariantSpec("AllTraffic", (sys.executable, program))
        await fleet.start(EndpointSpec("bikes", (variant,)))
        scaler.register_scalable_target({**TARGET, "MinCapacity": 1, "MaxCapacity": 3})
        scaler.put_scaling_policy(describe_policy(CONCURRENCY, 1.0, ScaleOutCooldown=0, ScaleInCooldown=0))
        following = asyncio.ensure_future(scaler.run())
        pressing = True
        answered = 0

        async def press() -> None:
            nonlocal answered
            while pressing:
                await fleet.invoke("bikes", b"sleep 0.02", {})  # a failed one fails the test
                answered += 1

        async def wait_for(count: int) -> None:
            deadline = time.monotonic() + 60
            while fleet.describe("bikes").variants[0].current_count != count:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

        clients = [asyncio.ensure_future(press()) for _ in range(8)]
        await wait_for(3)
        pressing = False
        await asyncio.gather(*clients)
        await wait_for(1)
        while (
            scaler.describe_scaling_activities(TARGET)["ScalingActivities"][0]["StatusCode"] == "InProgress"
        ):
            await asyncio.sleep(0.05)  # the last workers are drained and stopped
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        activities = scaler.describe_scaling_activities(TARGET)["ScalingActivities"]
        assert [each["Description"][-2] for each in activities[-1:]] == ["3"]
        assert {each["StatusCode"] for each in activities} == {"Successful"}
        assert answered > 10
        await fleet.close()

    asyncio.run(go())
