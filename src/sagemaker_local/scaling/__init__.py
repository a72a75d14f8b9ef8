"""Application Auto Scaling for endpoint variants: scalable targets, target tracking policies, activities.

    scaler = Autoscaler(state_dir, read_load, set_capacity)
    scaler.register_scalable_target(request) -> response        # one method for each API action, dict to dict
    scaler.put_scaling_policy(request) -> response              # requests are valid by botocore's model
    await scaler.run()                                          # follows the policies until cancelled

`read_load(resource_id) -> Load | None` says what a variant does now, `await set_capacity(resource_id, count)`
changes it. Refusals are ScalingError(code, message), an HTTP 400.
"""

from sagemaker_local.scaling.autoscaler import Autoscaler
from sagemaker_local.scaling.errors import ScalingError
from sagemaker_local.scaling.tracking import Timing

__all__ = ["Autoscaler", "ScalingError", "Timing"]
