"""Processing and batch transform jobs, as boto3 sees them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import IMAGE, ROLE, wait_for
from .test_endpoints import put_model

ENDED = ("Completed", "Failed", "Stopped")


def processing_request(name: str, bucket: str, **application: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3InputMode": "File", "LocalPath": "/opt/ml/processing/input"}
    target = {
        "S3UploadMode": "EndOfJob",
        "LocalPath": "/opt/ml/processing/output",
        "S3Uri": f"s3://{bucket}/out",
    }
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": IMAGE, **application},
        "RoleArn": ROLE,
        "ProcessingInputs": [{"InputName": "in", "S3Input": {"S3Uri": f"s3://{bucket}/in/", **source}}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": target}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
    }


def process(sagemaker: Any, request: dict[str, Any]) -> dict[str, Any]:
    sagemaker.create_processing_job(**request)
    return wait_for(
        lambda: sagemaker.describe_processing_job(ProcessingJobName=request["ProcessingJobName"]),
        lambda job: job["ProcessingJobStatus"] in ENDED,
    )


def read(s3: Any, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_a_processing_job_turns_its_input_into_its_output(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    job = process(sagemaker, processing_request(name, bucket))
    assert job["ProcessingJobStatus"] == "Completed", job
    assert read(s3, bucket, "out/a.txt") == b"PHOTO"


def test_an_entrypoint_of_its_own_sees_opt_ml(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    script = "import shutil; shutil.copy('/opt/ml/processing/input/a.txt', '/opt/ml/processing/output/b.txt')"
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    job = process(sagemaker, processing_request(name, bucket, ContainerEntrypoint=["python3", "-c", script]))
    assert job["ProcessingJobStatus"] == "Completed", job
    assert read(s3, bucket, "out/b.txt") == b"photo"


def test_continuous_output_appears_while_the_job_runs(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    script = "import time; open('/opt/ml/processing/output/first', 'w').write('1'); time.sleep(600)"
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    request = processing_request(name, bucket, ContainerEntrypoint=["python3", "-c", script])
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3UploadMode"] = "Continuous"
    sagemaker.create_processing_job(**request)
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="out/")["KeyCount"], lambda count: count == 1)
    status = sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"]
    assert (status, read(s3, bucket, "out/first")) == ("InProgress", b"1")
    sagemaker.stop_processing_job(ProcessingJobName=name)


def test_continuous_output_goes_on_when_some_cannot_be_uploaded(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    script = (
        "import time; [open(f'/opt/ml/processing/{n}/file', 'w').write('1') for n in 'ab']; time.sleep(600)"
    )
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    request = processing_request(name, bucket, ContainerEntrypoint=["python3", "-c", script])
    request["ProcessingOutputConfig"]["Outputs"] = [
        {
            "OutputName": part,
            "S3Output": {
                "S3Uri": f"s3://{place}/out",
                "LocalPath": f"/opt/ml/processing/{part}",
                "S3UploadMode": "Continuous",
            },
        }
        for part, place in (("a", f"no-{bucket}"), ("b", bucket))
    ]
    sagemaker.create_processing_job(**request)
    wait_for(lambda: s3.list_objects_v2(Bucket=bucket, Prefix="out/")["KeyCount"], lambda count: count == 1)
    sagemaker.stop_processing_job(ProcessingJobName=name)


def test_a_failed_processing_job_says_so(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    job = process(sagemaker, processing_request(name, bucket, ContainerArguments=["fail"]))
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Failed", "told to fail")
    assert "exit code: 3" in job["FailureReason"]


def test_a_processing_job_stops(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    sagemaker.create_processing_job(**processing_request(name, bucket), Environment={"SECONDS": "100"})
    sagemaker.stop_processing_job(ProcessingJobName=name)
    job = wait_for(
        lambda: sagemaker.describe_processing_job(ProcessingJobName=name),
        lambda job: job["ProcessingJobStatus"] in ENDED,
    )
    assert job["ProcessingJobStatus"] == "Stopped"


@pytest.mark.parametrize("path", ["/tmp/elsewhere", "/opt/ml/processing/../../../etc"])
def test_paths_outside_the_job_are_refused(sagemaker: Any, bucket: str, name: str, path: str) -> None:
    request = processing_request(name, bucket)
    request["ProcessingInputs"][0]["S3Input"]["LocalPath"] = path
    with pytest.raises(ClientError, match="LocalPath must begin with"):
        sagemaker.create_processing_job(**request)


def transform_request(name: str, bucket: str, **changes: Any) -> dict[str, Any]:
    source = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/in/"}}}
    return {
        "TransformJobName": name,
        "ModelName": name,
        "TransformInput": {**source, "ContentType": "text/plain", **changes.pop("TransformInput", {})},
        "TransformOutput": {"S3OutputPath": f"s3://{bucket}/out", **changes.pop("TransformOutput", {})},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        **changes,
    }


def transform(sagemaker: Any, name: str, bucket: str, **changes: Any) -> dict[str, Any]:
    sagemaker.create_transform_job(**transform_request(name, bucket, **changes))
    return wait_for(
        lambda: sagemaker.describe_transform_job(TransformJobName=name),
        lambda job: job["TransformJobStatus"] in ENDED,
    )


@pytest.fixture
def model(sagemaker: Any, s3: Any, bucket: str, name: str) -> str:
    container = {"Image": IMAGE, "ModelDataUrl": put_model(s3, bucket)}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    return name


def test_a_transform_takes_no_model_that_an_endpoint_would_refuse(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        link = tarfile.TarInfo("weights")
        link.type, link.linkname = tarfile.SYMTYPE, "elsewhere"
        archive.addfile(link)
    s3.put_object(Bucket=bucket, Key="model.tar.gz", Body=data.getvalue())
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    job = transform(sagemaker, name, bucket)
    assert job["TransformJobStatus"] == "Failed"
    assert "'weights' is a link or a special file" in job["FailureReason"]


def test_a_transform_answers_each_object(sagemaker: Any, s3: Any, bucket: str, model: str) -> None:
    for key in ("in/a.txt", "in/deep/b.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    job = transform(sagemaker, model, bucket, MaxConcurrentTransforms=2)
    assert job["TransformJobStatus"] == "Completed", job
    answer = json.loads(read(s3, bucket, "out/deep/b.txt.out"))
    assert (answer["body"], answer["type"], answer["files"]) == ("in/deep/b.txt", "text/plain", ["weights"])


@pytest.mark.parametrize(
    ("strategy", "bodies"), [("SingleRecord", ["1\n", "2\n"]), ("MultiRecord", ["1\n2\n"])]
)
def test_lines_are_records(
    sagemaker: Any, s3: Any, bucket: str, model: str, strategy: str, bodies: list[str]
) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.csv", Body=b"1\n2\n")
    split, together = {"SplitType": "Line"}, {"AssembleWith": "Line"}
    job = transform(
        sagemaker, model, bucket, TransformInput=split, TransformOutput=together, BatchStrategy=strategy
    )
    assert job["TransformJobStatus"] == "Completed", job
    lines = read(s3, bucket, "out/a.csv.out").splitlines()
    assert [json.loads(line)["body"] for line in lines] == bodies


def test_a_transform_that_its_model_refuses_is_failed(
    sagemaker: Any, s3: Any, bucket: str, model: str
) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"fail")
    job = transform(sagemaker, model, bucket)
    assert job["TransformJobStatus"] == "Failed"
    assert "500: told to fail" in job["FailureReason"]


def test_a_container_is_a_host_of_its_own_name(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    script = (
        "import socket, json; host = json.load(open('/opt/ml/config/resourceconfig.json'))['current_host']"
    )
    check = f"{script}; assert socket.gethostbyname(host) == '127.0.0.1', host"
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    job = process(sagemaker, processing_request(name, bucket, ContainerEntrypoint=["python3", "-c", check]))
    assert job["ProcessingJobStatus"] == "Completed", job
