"""A container's world: the /opt/ml tree, its configuration files and its environment variables.

Sources: your-algorithms-training-algo-running-container.md and the sagemaker-training toolkit's
ENVIRONMENT_VARIABLES.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sagemaker_local.config import Config
from sagemaker_local.endpoints.worker import INHERITED
from sagemaker_local.jobs.namespace import can_mount

BASE = "/opt/ml"
HOST, GROUP = "algo-1", "homogeneousCluster"
NETWORK_INTERFACE = "lo"


def make_training_tree(base: Path, request: Mapping[str, Any]) -> None:
    """Make input/config, input/data/<channel>, model, output/data, code and checkpoints below `base`."""
    for name in ("input/config", "input/data", "model", "output/data", "code", "checkpoints"):
        (base / name).mkdir(parents=True, exist_ok=True)
    config = base / "input/config"
    _write_json(config / "hyperparameters.json", request.get("HyperParameters", {}))
    _write_json(config / "inputdataconfig.json", describe_channels(request))
    _write_json(config / "resourceconfig.json", describe_resources(_instance_type(request)))


def describe_channels(request: Mapping[str, Any]) -> dict[str, Any]:
    """inputdataconfig.json: what each channel is."""
    mode = request.get("AlgorithmSpecification", {}).get("TrainingInputMode", "File")
    return {
        channel["ChannelName"]: {
            "ContentType": channel.get("ContentType", ""),
            "TrainingInputMode": channel.get("InputMode", mode),
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        }
        for channel in request.get("InputDataConfig", ())
    }


def describe_resources(instance_type: str) -> dict[str, Any]:
    """resourceconfig.json: always one host, by a name that resolves."""
    host = HOST if can_mount() else "localhost"
    group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": [host]}
    return {
        "current_host": host,
        "current_instance_type": instance_type,
        "current_group_name": GROUP,
        "hosts": [host],
        "instance_groups": [group],
        "network_interface_name": NETWORK_INTERFACE,
    }


def _instance_type(request: Mapping[str, Any]) -> str:
    """Of a training or a processing job."""
    processing = request.get("ProcessingResources", {}).get("ClusterConfig", {})
    return str({**processing, **request.get("ResourceConfig", {})}.get("InstanceType", ""))


def base_environment(config: Config, *, isolated: bool = False) -> dict[str, str]:
    """What every container gets: path, home, region and, unless isolated, the account's credentials."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment = {
        **kept,
        "PYTHONUNBUFFERED": "1",
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
    }
    if not isolated:
        environment |= {
            "AWS_ENDPOINT_URL": config.endpoint_url,
            "AWS_ACCESS_KEY_ID": config.access_key_id,
            "AWS_SECRET_ACCESS_KEY": config.secret_access_key,
        }
    return environment


def training_environment(base: str, request: Mapping[str, Any], arn: str) -> dict[str, str]:
    """SM_* of the training toolkit, TRAINING_JOB_NAME and TRAINING_JOB_ARN."""
    parameters = {key: _decode(text) for key, text in request.get("HyperParameters", {}).items()}
    user = {key: value for key, value in parameters.items() if not key.startswith("sagemaker_")}
    channels = describe_channels(request)
    resources = describe_resources(_instance_type(request))
    return {
        "TRAINING_JOB_NAME": request["TrainingJobName"],
        "TRAINING_JOB_ARN": arn,
        "SM_MODEL_DIR": f"{base}/model",
        "SM_INPUT_DIR": f"{base}/input",
        "SM_INPUT_CONFIG_DIR": f"{base}/input/config",
        "SM_OUTPUT_DIR": f"{base}/output",
        "SM_OUTPUT_DATA_DIR": f"{base}/output/data",
        "SM_CHANNELS": json.dumps(sorted(channels)),
        **{f"SM_CHANNEL_{name.upper()}": f"{base}/input/data/{name}" for name in channels},
        "SM_HPS": json.dumps(user),
        **{f"SM_HP_{key.upper()}": _as_text(value) for key, value in user.items()},
        "SM_USER_ARGS": json.dumps(
            [part for key in sorted(user) for part in (f"--{key}", _as_text(user[key]))]
        ),
        "SM_CURRENT_HOST": resources["current_host"],
        "SM_HOSTS": json.dumps(resources["hosts"]),
        "SM_NETWORK_INTERFACE_NAME": NETWORK_INTERFACE,
        "SM_RESOURCE_CONFIG": json.dumps(resources),
        "SM_INPUT_DATA_CONFIG": json.dumps(channels),
        "SM_NUM_CPUS": str(os.cpu_count() or 1),
        "SM_NUM_GPUS": "0",
        "SM_NUM_NEURONS": "0",
        "SM_LOG_LEVEL": str(parameters.get("sagemaker_container_log_level", 20)),
    }


def _decode(text: str) -> Any:
    """Hyperparameters are strings that hold JSON, or just strings."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def relocate(values: Iterable[str], base: Path) -> list[str]:
    """/opt/ml in command lines, where it cannot be mounted: replaced by where it really is."""
    return [value.replace(BASE, str(base)) for value in values]


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2))


def write_processing_config(base: Path, record: Mapping[str, Any]) -> None:
    """config/processingjobconfig.json and config/resourceconfig.json of a processing job."""
    config = base / "config"
    config.mkdir(parents=True, exist_ok=True)
    _write_json(config / "processingjobconfig.json", record)
    _write_json(config / "resourceconfig.json", describe_resources(_instance_type(record)))
