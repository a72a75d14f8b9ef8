"""Operation name -> function, for what is available; everything else answers clearly that it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.api import (
    endpoint_configs,
    endpoints,
    model_packages,
    models,
    monitoring_schedules,
    processing_jobs,
    tags,
    training_jobs,
    transform_jobs,
)
from sagemaker_local.plane import Plane

Operation = Callable[[Plane, dict[str, Any]], Mapping[str, Any]]

OPERATIONS: dict[str, Operation] = {
    "AddTags": tags.add_tags,
    "CreateEndpoint": endpoints.create_endpoint,
    "CreateEndpointConfig": endpoint_configs.create_endpoint_config,
    "CreateModel": models.create_model,
    "CreateModelPackage": model_packages.create_model_package,
    "CreateModelPackageGroup": model_packages.create_model_package_group,
    "CreateMonitoringSchedule": monitoring_schedules.create_monitoring_schedule,
    "CreateProcessingJob": processing_jobs.create_processing_job,
    "CreateTrainingJob": training_jobs.create_training_job,
    "CreateTransformJob": transform_jobs.create_transform_job,
    "DeleteEndpoint": endpoints.delete_endpoint,
    "DeleteEndpointConfig": endpoint_configs.delete_endpoint_config,
    "DeleteModel": models.delete_model,
    "DeleteModelPackage": model_packages.delete_model_package,
    "DeleteModelPackageGroup": model_packages.delete_model_package_group,
    "DeleteMonitoringSchedule": monitoring_schedules.delete_monitoring_schedule,
    "DeleteTags": tags.delete_tags,
    "DescribeEndpoint": endpoints.describe_endpoint,
    "DescribeEndpointConfig": endpoint_configs.describe_endpoint_config,
    "DescribeModel": models.describe_model,
    "DescribeModelPackage": model_packages.describe_model_package,
    "DescribeModelPackageGroup": model_packages.describe_model_package_group,
    "DescribeMonitoringSchedule": monitoring_schedules.describe_monitoring_schedule,
    "DescribeProcessingJob": processing_jobs.describe_processing_job,
    "DescribeTrainingJob": training_jobs.describe_training_job,
    "DescribeTransformJob": transform_jobs.describe_transform_job,
    "ListEndpointConfigs": endpoint_configs.list_endpoint_configs,
    "ListEndpoints": endpoints.list_endpoints,
    "ListModelPackageGroups": model_packages.list_model_package_groups,
    "ListModelPackages": model_packages.list_model_packages,
    "ListModels": models.list_models,
    "ListMonitoringExecutions": monitoring_schedules.list_monitoring_executions,
    "ListMonitoringSchedules": monitoring_schedules.list_monitoring_schedules,
    "ListProcessingJobs": processing_jobs.list_processing_jobs,
    "ListTags": tags.list_tags,
    "ListTrainingJobs": training_jobs.list_training_jobs,
    "ListTransformJobs": transform_jobs.list_transform_jobs,
    "StartMonitoringSchedule": monitoring_schedules.start_monitoring_schedule,
    "StopMonitoringSchedule": monitoring_schedules.stop_monitoring_schedule,
    "StopProcessingJob": processing_jobs.stop_processing_job,
    "StopTrainingJob": training_jobs.stop_training_job,
    "StopTransformJob": transform_jobs.stop_transform_job,
    "UpdateEndpoint": endpoints.update_endpoint,
    "UpdateEndpointWeightsAndCapacities": endpoints.update_endpoint_weights_and_capacities,
    "UpdateModelPackage": model_packages.update_model_package,
    "UpdateMonitoringSchedule": monitoring_schedules.update_monitoring_schedule,
}
