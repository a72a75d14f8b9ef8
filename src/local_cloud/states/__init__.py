"""Step Functions: ministack's engine, with the gaps closed that can be closed from outside.

`install()` replaces functions of `ministack.services.stepfunctions`; each module here closes
one kind of gap:

    paths        a path that selects nothing fails the state instead of giving null
    limits       256 KiB per input and output, the machine's TimeoutSeconds
    retries      what States.ALL catches, MaxDelaySeconds, JitterStrategy
    starts       StartExecution is idempotent and checks its input; the engine starts at once
    maps         ItemBatcher and ResultWriter of a Distributed Map
    metrics      executions counted in CloudWatch
    permissions  a task needs the permission of the state machine's role
    tasks        error names of a throttled Lambda, Qualifier and InvocationType of lambda:invoke
"""

from __future__ import annotations


def install() -> None:
    """Close the gaps, once per process; takes effect for every execution that starts afterwards."""
    from ministack.services import stepfunctions

    from local_cloud.states import limits, maps, metrics, paths, permissions, retries, starts, tasks

    if getattr(stepfunctions, "_closed_by_local_cloud", False):
        return
    for gaps in (tasks, permissions, limits, maps, metrics, paths, retries, starts):
        gaps.close(stepfunctions)
    stepfunctions._closed_by_local_cloud = True
