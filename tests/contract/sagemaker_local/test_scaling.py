"""Application auto scaling through its own protocol; how it scales is tested with the auto scaler itself."""

from __future__ import annotations

from typing import Any

import pytest

from .test_endpoints import deploy, put_model

DIMENSION = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}


def test_targets_and_policies_are_kept(cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    scaling = cloud.client("application-autoscaling")
    target = {**DIMENSION, "ResourceId": f"endpoint/{name}/variant/AllTraffic"}
    with pytest.raises(scaling.exceptions.ValidationException):
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    deploy(sagemaker, name, put_model(s3, bucket))
    scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=3)
    (found,) = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[target["ResourceId"]]
    )["ScalableTargets"]
    assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 3)
    tracking = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    made = scaling.put_scaling_policy(
        **target,
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", PolicyNames=[name])[
        "ScalingPolicies"
    ]
    assert policy["PolicyARN"] == made["PolicyARN"]
    scaling.delete_scaling_policy(**target, PolicyName=name)
    scaling.deregister_scalable_target(**target)
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**target)
    sagemaker.delete_endpoint(EndpointName=name)
