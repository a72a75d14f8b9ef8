"""The SageMaker Python SDK, version 3, unmodified: ModelTrainer with a script, core resources to deploy.

Needs a running local cloud (AWS_ENDPOINT_URL, credentials, region), DATA (S3 prefix of a staged dataset)
and ROLE.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

import boto3
from sagemaker.core import image_uris
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, TrainingJob
from sagemaker.core.shapes import (
    AlgorithmSpecification,
    Channel,
    ContainerDefinition,
    DataSource,
    OutputDataConfig,
    ProductionVariant,
    ResourceConfig,
    S3DataSource,
    StoppingCondition,
)
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, SourceCode

SCRIPT = """
import json, os
files = os.listdir(os.environ["SM_CHANNEL_TRAIN"])
parameters = json.loads(os.environ["SM_HPS"])
print("script saw", len(files), "files and", parameters)
assert files and int(parameters["epochs"]) == 3
with open(os.path.join(os.environ["SM_MODEL_DIR"], "seen.json"), "w") as file:
    json.dump(parameters, file)
"""


def tell(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)


def run_trainer(session: Session, role: str, data: str, image: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(SCRIPT)
        trainer = ModelTrainer(
            training_image=image,
            source_code=SourceCode(source_dir=folder, entry_script="train.py"),
            compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
            hyperparameters={"epochs": 3},
            base_job_name="trainer",
            sagemaker_session=session,
            role=role,
        )
        trainer.train([InputData(channel_name="train", data_source=f"{data}/train/")], wait=True, logs=True)
    assert trainer._latest_training_job.training_job_status == "Completed"


def make_channel(name: str, uri: str) -> Channel:
    source = S3DataSource(s3_data_type="S3Prefix", s3_uri=uri, s3_data_distribution_type="FullyReplicated")
    return Channel(
        channel_name=name, data_source=DataSource(s3_data_source=source), content_type="application/x-image"
    )


def train(role: str, data: str, bucket: str, image: str) -> TrainingJob:
    uris = {name: f"{data}/{name}/" for name in ("train", "validation")}
    uris |= {f"{name}_lst": f"{data}/{name}.lst" for name in ("train", "validation")}
    job = TrainingJob.create(
        training_job_name=f"core-{uuid.uuid4().hex[:8]}",
        role_arn=role,
        algorithm_specification=AlgorithmSpecification(training_image=image, training_input_mode="File"),
        hyper_parameters={
            "num_classes": "2",
            "num_training_samples": "1000",
            "image_shape": "3,32,32",
            "epochs": os.environ.get("EPOCHS", "1"),
        },
        input_data_config=[make_channel(name, uri) for name, uri in uris.items()],
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{bucket}/core"),
        resource_config=ResourceConfig(instance_type="ml.m5.xlarge", instance_count=1, volume_size_in_gb=5),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=1800),
    )
    job.wait(poll=1)
    assert job.training_job_status == "Completed", job.failure_reason
    return job


def deploy(role: str, job: TrainingJob, image: str, picture: bytes) -> None:
    name = job.training_job_name
    container = ContainerDefinition(image=image, model_data_url=job.model_artifacts.s3_model_artifacts)
    model = Model.create(model_name=name, primary_container=container, execution_role_arn=role)
    variant = ProductionVariant(
        variant_name="AllTraffic",
        model_name=name,
        instance_type="ml.m5.xlarge",
        initial_instance_count=1,
        initial_variant_weight=1.0,
    )
    config = EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])
    endpoint = Endpoint.create(endpoint_name=name, endpoint_config_name=name)
    endpoint.wait_for_status("InService", poll=1)
    answer = endpoint.invoke(body=picture, content_type="image/png", accept="application/json")
    probabilities = json.loads(answer.body.read())
    assert len(probabilities) == 2, probabilities
    assert abs(sum(probabilities) - 1) < 1e-3, probabilities
    tell(f"predicted {probabilities}")
    for resource in (endpoint, config, model):
        resource.delete()


def main() -> int:
    session, data = Session(), os.environ["DATA"].rstrip("/")
    role, bucket = get_execution_role(session), session.default_bucket()
    tell(f"bucket {bucket}, role {role}")
    built_in = image_uris.retrieve("image-classification", session.boto_region_name)
    s3 = boto3.client("s3")
    holder, _, prefix = f"{data}/test/".removeprefix("s3://").partition("/")
    key = s3.list_objects_v2(Bucket=holder, Prefix=prefix)["Contents"][0]["Key"]
    job = train(role, data, bucket, built_in)
    tell("trained")
    deploy(role, job, built_in, s3.get_object(Bucket=holder, Key=key)["Body"].read())
    tell("deployed, predicted, deleted")
    pytorch = f"763104351884.dkr.ecr.{session.boto_region_name}.amazonaws.com/pytorch-training:2.8-cpu-py312"
    run_trainer(session, role, data, pytorch)
    tell("ran a script with ModelTrainer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
