"""The loop that follows scaling policies: measures, decides, starts and drains workers, keeps a record."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from sagemaker_local.endpoints.measurement import Load
from sagemaker_local.scaling.registry import Registry
from sagemaker_local.scaling.tracking import Series, Timing, Tracking, decide, read_tracking

logger = logging.getLogger(__name__)

Request = dict[str, Any]
STOPPED = "The cloud was stopped meanwhile."


class PolicyFollower:
    """Follows the policies of a registry. Belongs to the thread of one event loop."""

    def __init__(
        self,
        registry: Registry,
        save: Callable[[], None],
        read_load: Callable[[str], Load | None],
        set_capacity: Callable[[str, int], Awaitable[None]],
        timing: Timing,
    ) -> None:
        self._registry = registry
        self._save = save
        self._read_load = read_load
        self._set_capacity = set_capacity
        self._timing = timing
        self._series: dict[str, Series] = {}  # by policy
        self._changing: dict[str, asyncio.Task[None]] = {}  # by target
        self._scaled_out: dict[str, float] = {}  # target -> when, monotonic
        self._scaled_in: dict[str, float] = {}
        for activity in registry.activities:  # what a killed process left
            if activity["StatusCode"] == "InProgress":
                activity.update(StatusCode="Failed", StatusMessage=STOPPED, EndTime=activity["StartTime"])

    def forget(self, prefix: str) -> None:
        """Start measuring anew for policies whose names begin so: what was measured no longer counts."""
        for name in [name for name in self._series if name.startswith(prefix)]:
            del self._series[name]

    async def run(self) -> None:
        """Follow the policies until cancelled."""
        try:
            while True:
                self.evaluate(time.monotonic())
                await asyncio.sleep(min(self._timing.high_resolution_period_s, self._timing.period_s) / 10)
        finally:
            for task in self._changing.values():
                task.cancel()
            await asyncio.gather(*self._changing.values(), return_exceptions=True)

    def evaluate(self, now: float) -> None:
        """Look at every target once, start the changes called for; `now` in monotonic seconds."""
        for key, target in self._registry.targets.items():
            load = self._read_load(target["ResourceId"])
            if load is not None and key not in self._changing:
                desired, cause = self._weigh(key, target, load, now)
                if desired != load.desired:
                    self._changing[key] = asyncio.ensure_future(
                        self._change(key, target, load.desired, desired, cause)
                    )

    def _weigh(self, key: str, target: Request, load: Load, now: float) -> tuple[int, str]:
        """The number of instances wanted, and why: the most that any policy wants, within the limits."""
        wanted = load.desired
        votes: list[tuple[int, str]] = []
        for name, policy in self._registry.policies.items():
            if name.startswith(f"{key}|"):
                tracking = read_tracking(policy["TargetTrackingScalingPolicyConfiguration"])
                count = decide(self._observe(name, tracking, load, now), tracking, load.desired, self._timing)
                votes.append((self._cool(key, count, load.desired, tracking, now), policy["PolicyName"]))
        cause = "the capacity lies outside its limits"
        if votes:
            wanted, policy_name = max(votes)
            cause = f"target tracking policy {policy_name} asked for {wanted}"
        wanted = min(max(wanted, target["MinCapacity"]), target["MaxCapacity"])
        return load.desired if _is_suspended(target, wanted - load.desired) else wanted, cause

    def _observe(self, name: str, tracking: Tracking, load: Load, now: float) -> deque[float]:
        kept = max(self._timing.periods_in, self._timing.periods_out)
        series = self._series.setdefault(name, Series(tracking.metric, deque(maxlen=kept)))
        series.observe(load, now, self._timing.get_period(tracking.metric))
        return series.values

    def _cool(self, key: str, wanted: int, instances: int, tracking: Tracking, now: float) -> int:
        never = float("-inf")
        if wanted > instances and now - self._scaled_out.get(key, never) < tracking.cooldown_out:
            return instances
        changed = max(self._scaled_in.get(key, never), self._scaled_out.get(key, never))
        if wanted < instances and now - changed < tracking.cooldown_in:
            return instances
        return wanted

    async def _change(self, key: str, target: Request, before: int, desired: int, cause: str) -> None:
        activity = _begin_activity(target, desired, cause)
        self._registry.activities.insert(0, activity)
        self._save()
        try:
            await self._set_capacity(target["ResourceId"], desired)
            words = "Change successfully fulfilled by sagemaker."
            words = f"Successfully set desired instance count to {desired}. {words}"
            activity.update(StatusCode="Successful", StatusMessage=words)
        except asyncio.CancelledError:
            activity.update(StatusCode="Failed", StatusMessage=STOPPED)
            raise
        except Exception as error:  # the edge to whoever runs the workers: tried again when asked for again
            logger.warning("%s could not be scaled to %d: %s", target["ResourceId"], desired, error)
            words = f"Failed to set desired instance count to {desired}: {error}"
            activity.update(StatusCode="Failed", StatusMessage=words)
        finally:
            (self._scaled_out if desired > before else self._scaled_in)[key] = time.monotonic()
            activity["EndTime"] = time.time()
            self.forget(f"{key}|")  # it was another number of instances
            self._changing.pop(key, None)
            self._save()


def _is_suspended(target: Request, change: int) -> bool:
    direction = "DynamicScalingOutSuspended" if change > 0 else "DynamicScalingInSuspended"
    return bool(target.get("SuspendedState", {}).get(direction, False))


def _begin_activity(target: Request, desired: int, cause: str) -> Request:
    return {
        "ActivityId": str(uuid.uuid4()),
        **{name: target[name] for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")},
        "Description": f"Setting desired instance count to {desired}.",
        "Cause": cause,
        "StartTime": time.time(),
        "StatusCode": "InProgress",
    }
