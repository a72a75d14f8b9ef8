"""What the one port lets in, and how it refuses the rest."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_cloud import lifecycle
from local_cloud.gateway import MAX_BODY

Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def port(cloud: Any) -> int:
    return int(cloud.status()["port"])


def ask(port: int, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Any:
    """One plain request; the response with its body in `text`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    response.text = response.read().decode()  # type: ignore[attr-defined]
    connection.close()
    return response


def error_of(call: Callable[[], Any]) -> dict[str, Any]:
    """Code, message and HTTP status of the error that `call` ends with."""
    with pytest.raises(ClientError) as caught:
        call()
    response: dict[str, Any] = dict(caught.value.response)
    return {**response["Error"], "status": response["ResponseMetadata"]["HTTPStatusCode"]}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:4566", "127.0.0.1.evil.example", ""])
def test_another_host_name_is_refused(host: str, port: int) -> None:
    """A web page whose name was made to point at 127.0.0.1 (DNS rebinding) gets nothing."""
    response = ask(port, "GET", "/", {"Host": host})
    assert response.status == 403
    assert "127.0.0.1 or localhost" in json.loads(response.text)["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/reset", "/_ministack/health", "/_ministack/config", "/_ministack/ready", "/health",
        "/_localstack/health", "/_localstack/init", "/_aws/sqs/messages", "/_ministack",
        "/%5Fministack/reset",
    ],
)  # fmt: skip
def test_admin_paths_are_closed(path: str, port: int) -> None:
    assert ask(port, "POST", path).status == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS"])
def test_unsigned_requests_are_refused(method: str, port: int) -> None:
    response = ask(port, method, "/bucket/key")
    assert response.status == 403
    assert json.loads(response.text)["__type"] == "MissingAuthenticationToken"
    assert not [name for name, _ in response.getheaders() if name.lower().startswith("access-control")]


@pytest.mark.parametrize("key", ["test", "000000000000", "123456789012"])
@pytest.mark.parametrize("service", ["s3", "sqs", "iam"])
def test_the_emulator_s_root_keys_are_refused(
    key: str, service: str, cloud: Any, connect: Callable[..., Client]
) -> None:
    root = connect({**cloud.variables(), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "test"})
    calls = {"s3": "list_buckets", "sqs": "list_queues", "iam": "list_users"}
    assert error_of(getattr(root(service), calls[service]))["status"] in (400, 403)


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("s3", "list_buckets"),
        ("dynamodb", "list_tables"),
        ("sns", "list_topics"),
        ("sagemaker", "list_models"),
    ],
)
def test_a_wrong_secret_is_refused(service: str, call: str, mounted: Callable[..., Client]) -> None:
    error = error_of(getattr(mounted(AWS_SECRET_ACCESS_KEY="wrong")(service), call))
    assert error["Code"] in ("SignatureDoesNotMatch", "InvalidSignatureException")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_work_and_cannot_be_forged(
    version: str, cloud: Any, client: Client, port: int
) -> None:
    variables, bucket = cloud.variables(), f"presigned-{version}"
    client("s3").create_bucket(Bucket=bucket)
    with closing(
        boto3.client(
            "s3",
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            region_name=variables["AWS_REGION"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version=version),
        )
    ) as s3:
        place = {"Bucket": bucket, "Key": "a b/ü.png"}
        put = urlsplit(s3.generate_presigned_url("put_object", Params=place))
        get = urlsplit(s3.generate_presigned_url("get_object", Params=place, ExpiresIn=60))
    assert ask(port, "PUT", f"{put.path}?{put.query}", body=b"image").status == 200
    got = ask(port, "GET", f"{get.path}?{get.query}")
    assert got.text == "image"
    assert not [name for name, _ in got.getheaders() if name.lower().startswith("access-control")]
    forged = re.sub(r"Signature=..", "Signature=00", get.query)
    assert ask(port, "GET", f"{get.path}?{forged}").status == 403
    assert ask(port, "GET", f"/{bucket}/other?{get.query}").status == 403


def test_a_service_that_is_not_here_is_told_in_its_own_format(client: Client) -> None:
    for service, call in (("redshift", "describe_clusters"), ("rekognition", "list_collections")):
        error = error_of(getattr(client(service), call))
        assert error["Code"] == "ServiceNotAvailable"
        assert f"no service '{service}'" in error["Message"]
        assert "dynamodb" in error["Message"]


def test_too_large_a_request_is_refused(client: Client, port: int) -> None:
    s3 = client("s3")
    url = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "any", "Key": "large"}))
    headers = {"Content-Length": str(MAX_BODY + 1)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("PUT", f"{url.path}?{url.query}", b"", headers)
    response = connection.getresponse()
    assert response.status == 413
    assert b"EntityTooLarge" in response.read()
    connection.close()


def test_only_loopback_is_listened_on(port: int) -> None:
    """/proc/net/tcp has addresses in hexadecimal: 0100007F is 127.0.0.1."""
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{port:04X}" in listening
    assert f"00000000:{port:04X}" not in listening


@pytest.fixture(scope="module")
def mounted(
    tmp_path_factory: pytest.TempPathFactory, connect: Callable[..., Client]
) -> Iterator[Callable[..., Client]]:
    """Makes clients of a cloud with an application mounted for sagemaker; credentials can be replaced."""
    root = tmp_path_factory.mktemp("mounted") / ".scones"
    factory = "parts:create_echo"
    how = lifecycle.Start(mounts={"sagemaker": factory, "application-autoscaling": factory})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{Path(lifecycle.__file__).parents[1]}:{Path(__file__).parent}")
        _, process = lifecycle.start(root, how)
    variables = lifecycle.environment(root)
    yield lambda **replaced: connect({**variables, **replaced})
    lifecycle.stop(root)
    process.wait()


def test_a_mounted_application_gets_its_service_s_requests(mounted: Callable[..., Client]) -> None:
    client = mounted()
    runtime = client("sagemaker-runtime")
    told = json.loads(runtime.invoke_endpoint(EndpointName="scones", Body=b"x" * 1000)["Body"].read())
    endpoint = runtime.meta.endpoint_url
    assert told == {"path": "/endpoints/scones/invocations", "bytes": 1000, "endpoint_url": endpoint}
    assert client("sagemaker").list_models()["ResponseMetadata"]["HTTPStatusCode"] == 200
    scaling = client("application-autoscaling").describe_scalable_targets(ServiceNamespace="sagemaker")
    assert scaling["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_a_mounted_application_is_guarded_by_iam(
    mounted: Callable[..., Client], assume: Callable[..., Client]
) -> None:
    """A role that may invoke one endpoint and describe one job may do just that."""
    prefix = "arn:aws:sagemaker:us-east-1:000000000000:"
    allow = [
        {"Effect": "Allow", "Action": "sagemaker:InvokeEndpoint", "Resource": f"{prefix}endpoint/mine"},
        {"Effect": "Allow", "Action": "sagemaker:Describe*", "Resource": f"{prefix}training-job/mine"},
    ]
    client = assume(mounted, "caller", allow)
    runtime, sagemaker = client("sagemaker-runtime"), client("sagemaker")
    runtime.invoke_endpoint(EndpointName="mine", Body=b"")
    sagemaker.describe_training_job(TrainingJobName="mine")
    for refused in (
        lambda: runtime.invoke_endpoint(EndpointName="other", Body=b""),
        lambda: sagemaker.describe_training_job(TrainingJobName="other"),
        lambda: sagemaker.delete_endpoint(EndpointName="mine"),
        lambda: sagemaker.list_models(),
    ):
        error = error_of(refused)
        assert error["Code"] == "AccessDeniedException"
        assert "assumed-role/caller/me is not authorized to perform: sagemaker:" in error["Message"]
