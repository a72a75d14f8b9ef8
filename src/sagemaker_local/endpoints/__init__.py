"""Real-time endpoints as processes on this machine.

    fleet = EndpointFleet(cloud: Cloud, state_dir: Path, limits: Limits = Limits())
    await fleet.open()                       # recovers captured data that a killed process left; starts loops
    await fleet.start(spec)                  # returns when InService; EndpointError(reason) when it cannot be
    await fleet.update(spec)                 # blue/green; EndpointError leaves the old fleet serving
    await fleet.set_weights_and_capacities(name, {"AllTraffic": (weight or None, count or None)})
    result = await fleet.invoke(name, body, headers)     # InvokeResult, or InvokeError(code, status, body)
    fleet.describe(name)                     # EndpointDescription; KeyError for unknown names
    await fleet.delete(name)                 # drains, stops, flushes captures
    await fleet.close()                      # all of them, at the end

`headers` of invoke have lower-case names: content-type, accept, x-amzn-sagemaker-custom-attributes,
x-amzn-sagemaker-target-variant, x-amzn-sagemaker-inference-id; others are not passed on. `start`, `update`
and `set_weights_and_capacities` may be cancelled: nothing half-started remains. "Instances" are worker
processes. The module knows no AWS client: `Cloud` brings what it needs.
"""

from sagemaker_local.endpoints.errors import EndpointError, InvokeError
from sagemaker_local.endpoints.fleet import EndpointFleet
from sagemaker_local.endpoints.spec import (
    CaptureSpec,
    Cloud,
    EndpointDescription,
    EndpointSpec,
    InvokeResult,
    Limits,
    VariantSpec,
    VariantStatus,
)

__all__ = [
    "CaptureSpec",
    "Cloud",
    "EndpointDescription",
    "EndpointError",
    "EndpointFleet",
    "EndpointSpec",
    "InvokeError",
    "InvokeResult",
    "Limits",
    "VariantSpec",
    "VariantStatus",
]
