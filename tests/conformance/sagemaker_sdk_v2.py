"""The SageMaker Python SDK, version 2, unmodified: what the course's notebook does, and script mode.

Needs a running local cloud (AWS_ENDPOINT_URL, credentials, region), DATA (S3 prefix of a staged dataset)
and ROLE.
Prints one line a step; exits 1 at the first that fails.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker import image_uris
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.deserializers import JSONDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model import Model
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.predictor import Predictor
from sagemaker.processing import ProcessingInput, ProcessingOutput, ScriptProcessor
from sagemaker.pytorch import PyTorch
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.serializers import IdentitySerializer

PNG = "image/png"
SCRIPT = """
import argparse, json, os
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
arguments, _ = parser.parse_known_args()
files = sorted(os.listdir(os.environ["SM_CHANNEL_TRAIN"]))
print("script saw", len(files), "files, epochs", arguments.epochs)
with open(os.path.join(arguments.model_dir, "seen.json"), "w") as file:
    json.dump({"files": len(files), "epochs": arguments.epochs}, file)
"""
PROCESS = """
import os
names = os.listdir("/opt/ml/processing/input")
with open("/opt/ml/processing/output/count.txt", "w") as file:
    file.write(str(len(names)))
"""


def tell(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)


def find_role() -> str:
    """get_execution_role() on a SageMaker notebook; elsewhere the SDK says to name the role."""
    try:
        return sagemaker.get_execution_role()
    except ValueError:
        return os.environ["ROLE"]


def make_channels(data: str) -> dict[str, TrainingInput]:
    sources = {
        "train": f"{data}/train/",
        "validation": f"{data}/validation/",
        "train_lst": f"{data}/train.lst",
        "validation_lst": f"{data}/validation.lst",
    }
    return {name: TrainingInput(uri, content_type="application/x-image") for name, uri in sources.items()}


def train(session: sagemaker.Session, role: str, data: str) -> Estimator:
    image = image_uris.retrieve("image-classification", session.boto_region_name, version="latest")
    estimator = Estimator(
        image_uri=image,
        role=role,
        instance_count=1,
        instance_type="ml.p3.2xlarge",
        output_path=f"s3://{session.default_bucket()}/models/image_model",
        sagemaker_session=session,
    )
    estimator.set_hyperparameters(
        image_shape="3,32,32",
        num_classes=2,
        num_training_samples=1000,
        epochs=int(os.environ.get("EPOCHS", "1")),
    )
    estimator.fit(make_channels(data))
    assert estimator.model_data.endswith("/output/model.tar.gz"), estimator.model_data
    return estimator


def read_metrics(estimator: Estimator) -> None:
    described = boto3.client("sagemaker").describe_training_job(
        TrainingJobName=estimator.latest_training_job.name
    )
    assert described["TrainingJobStatus"] == "Completed"
    if described.get("FinalMetricDataList"):
        table = TrainingJobAnalytics(estimator.latest_training_job.name, ["validation:accuracy"]).dataframe()
        assert len(table) > 0


def deploy_and_predict(session: sagemaker.Session, estimator: Estimator, image: bytes) -> None:
    captured = f"s3://{session.default_bucket()}/data_capture"
    predictor = estimator.deploy(
        initial_instance_count=1,
        instance_type="ml.m5.xlarge",
        data_capture_config=DataCaptureConfig(
            enable_capture=True, sampling_percentage=100, destination_s3_uri=captured
        ),
    )
    again = Predictor(predictor.endpoint_name, session, IdentitySerializer(PNG), JSONDeserializer())
    answer = again.predict(image, inference_id="first")
    assert len(answer) == 2, answer
    assert abs(sum(answer) - 1) < 1e-3, answer
    tell(f"predicted {answer}")
    again.update_endpoint(initial_instance_count=2, instance_type="ml.m5.xlarge")
    assert len(again.predict(image)) == 2
    again.delete_endpoint(delete_endpoint_config=True)
    again.delete_model()
    read_capture(f"{captured}/{predictor.endpoint_name}/AllTraffic")


def read_capture(uri: str) -> None:
    deadline = time.monotonic() + 90
    while not (files := S3Downloader.list(uri)):
        assert time.monotonic() < deadline, f"nothing was captured below {uri}"
        time.sleep(1)
    record = json.loads(S3Downloader.read_file(files[0]).splitlines()[0])
    assert record["captureData"]["endpointInput"]["observedContentType"] == PNG
    assert record["captureData"]["endpointOutput"]["encoding"] == "JSON"


def transform(session: sagemaker.Session, estimator: Estimator, role: str, data: str) -> None:
    target = f"s3://{session.default_bucket()}/transformed"
    model = Model(estimator.image_uri, estimator.model_data, role, sagemaker_session=session)
    model.create(instance_type="ml.m5.xlarge")
    transformer = model.transformer(1, "ml.m5.xlarge", output_path=target, max_concurrent_transforms=2)
    transformer.transform(f"{data}/test/", content_type=PNG, wait=True, logs=False)
    inputs, outputs = S3Downloader.list(f"{data}/test/"), S3Downloader.list(target)
    assert len(inputs) == len(outputs) > 0, (len(inputs), len(outputs))
    model.delete_model()


def run_script(session: sagemaker.Session, role: str, data: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(SCRIPT)
        estimator = PyTorch(
            entry_point="train.py",
            source_dir=folder,
            role=role,
            framework_version="2.8",
            py_version="py312",
            instance_count=1,
            instance_type="ml.m5.xlarge",
            hyperparameters={"epochs": 3},
            sagemaker_session=session,
        )
        estimator.fit({"train": f"{data}/train/"})
    assert estimator.latest_training_job.describe()["TrainingJobStatus"] == "Completed"


def process(session: sagemaker.Session, role: str, data: str, image: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "count.py"
        script.write_text(PROCESS)
        processor = ScriptProcessor(role, image, ["python3"], 1, "ml.m5.xlarge", sagemaker_session=session)
        processor.run(
            str(script),
            inputs=[ProcessingInput(f"{data}/test/", "/opt/ml/processing/input")],
            outputs=[ProcessingOutput("/opt/ml/processing/output", output_name="counted")],
            logs=False,
        )
    (output,) = processor.latest_job.outputs
    assert int(S3Downloader.read_file(f"{output.destination}/count.txt")) > 0


def main() -> int:
    session, role, data = sagemaker.Session(), find_role(), os.environ["DATA"].rstrip("/")
    tell(f"bucket {session.default_bucket()}, role {role}")
    S3Uploader.upload_string_as_file_body("hello", f"s3://{session.default_bucket()}/hello.txt")
    (image, *_) = S3Downloader.list(f"{data}/test/")
    bucket, _, key = image.removeprefix("s3://").partition("/")
    picture = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    estimator = train(session, role, data)
    tell("trained")
    read_metrics(estimator)
    deploy_and_predict(session, estimator, picture)
    tell("deployed, predicted, captured, deleted")
    transform(session, estimator, role, data)
    tell("transformed")
    process(session, role, data, estimator.image_uri)
    tell("processed")
    run_script(session, role, data)
    tell("ran a PyTorch script")
    return 0


if __name__ == "__main__":
    sys.exit(main())
