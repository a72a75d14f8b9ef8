"""AWS Lambda's execution: handlers run under AWS's own runtime client, in processes of their own.

`install()` puts it in place of ministack's executor, which keeps the control plane (functions, versions,
aliases, layers, event source mappings, asynchronous retries).

    service       between ministack and the pool
    pool          who runs when: concurrency, warm environments, eviction
    environments  one process: variables, limits, end
    runtime_api   the protocol with the runtime client in it
    invocations   one invocation: its answer, its log lines
    packages      what a function can import
    records       CloudWatch Logs and metrics
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_cloud.lambdas.pool import Limits
    from local_cloud.lambdas.service import Service


def install(state_dir: Path, endpoint_url: str, limits: Limits | None = None) -> Service:
    """Execute Python functions from now on; `close()` of what is returned ends that and all processes.

    Args:
        state_dir: its subdirectory `lambda` is emptied and used for unpacked code and temporary files.
        endpoint_url: where handlers reach the local cloud, their AWS_ENDPOINT_URL.
        limits: see `local_cloud.lambdas.pool.Limits`.
    """
    from local_cloud.lambdas.pool import Limits
    from local_cloud.lambdas.service import Service

    return Service(state_dir / "lambda", endpoint_url, limits or Limits())
