"""The servers that `endpoint.py` compares: each starts processes of its own and says how it is asked."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from servers import Server, serve_scones

PEERS = Path(__file__).with_name("peers")
NAME = "benchmark"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Contestant:
    """A running server. `ask` makes the HTTP request for an image; `pids` are roots of process trees."""

    name: str
    port: int
    pids: tuple[int, ...]
    ask: Callable[[bytes], bytes]

    def read_processor(self) -> float:
        """Processor seconds that all its processes have used; those that ended are left out."""
        return sum(_read_ticks(pid) for root in self.pids for pid in _list_tree(root)) / TICKS

    @contextmanager
    def awake(self) -> Iterator[None]:
        """All its processes run meanwhile, and only then: an idle server may still take processor time."""
        self.send(signal.SIGCONT)
        try:
            yield
        finally:
            self.send(signal.SIGSTOP)

    def send(self, number: int) -> None:
        """Send a signal to all its processes."""
        for root in self.pids:
            for pid in _list_tree(root):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


@contextmanager
def serve_container(model: Path, folder: Path, cores: int) -> Iterator[Contestant]:
    """`python -m scones.container serve`, nothing around it."""
    with tarfile.open(model) as archive:
        archive.extractall(folder / "model", filter="data")
    port = find_port()
    environment = {"SAGEMAKER_BASE_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": str(port)}
    environment["SAGEMAKER_MODEL_SERVER_WORKERS"] = str(cores)
    with _run([sys.executable, "-m", "scones.container", "serve"], environment, port, "/ping", folder) as pid:
        yield Contestant("container", port, (pid,), lambda image: frame("/invocations", image))


@contextmanager
def serve_gateway(model: Path, capture: bool) -> Iterator[Contestant]:
    """`scones up` with one endpoint: signatures checked, and every invocation captured if `capture`."""
    with serve_scones() as server:
        _create_endpoint(server, model, capture)
        port = int(server.variables["AWS_ENDPOINT_URL"].rpartition(":")[2])
        name = "gateway_capture" if capture else "gateway"
        yield Contestant(name, port, server.pids, lambda image: _sign(server, port, image))


@contextmanager
def serve_bentoml(graph: Path, folder: Path, cores: int) -> Iterator[Contestant]:
    """BentoML with a worker process for each core."""
    port, program = find_port(), find_peer("bentoml")
    command = [str(program.with_name("bentoml")), "serve", "bentoml_service:Classify", "--host", "127.0.0.1"]
    environment = {"MODEL": str(graph), "WORKERS": str(cores), "BENTOML_HOME": str(folder)}
    environment["BENTOML_DO_NOT_TRACK"] = "1"
    with _run([*command, "--port", str(port)], environment, port, "/livez", folder) as pid:
        yield Contestant("bentoml", port, (pid,), lambda image: frame("/invocations", image))


@contextmanager
def serve_litserve(graph: Path, folder: Path, cores: int) -> Iterator[Contestant]:
    """LitServe with dynamic batching and a worker process for each core."""
    port, program = find_port(), find_peer("litserve")
    environment = {"MODEL": str(graph), "WORKERS": str(cores)}
    command = [str(program), "litserve_server.py", str(port)]
    with _run(command, environment, port, "/health", folder) as pid:
        yield Contestant("litserve", port, (pid,), lambda image: _frame_json({"image": _encode(image)}))


@contextmanager
def serve_mlflow(graph: Path, folder: Path, cores: int) -> Iterator[Contestant]:
    """MLflow's scoring server with a worker process for each core."""
    port, program = find_port(), find_peer("mlflow")
    saved = folder / "mlflow"
    environment = {"MODEL": str(graph), "MLFLOW_TRACKING_URI": f"file://{folder}/runs"}
    environment["PATH"] = f"{program.parent}:{os.environ['PATH']}"
    subprocess.run([program, "mlflow_model.py", saved], cwd=PEERS, env=_extend(environment), check=True)
    command = [
        str(program.with_name("mlflow")),
        "models",
        "serve",
        "-m",
        str(saved),
        "--env-manager",
        "local",
    ]
    with _run([*command, "-w", str(cores), "-p", str(port)], environment, port, "/ping", folder) as pid:
        yield Contestant("mlflow", port, (pid,), lambda image: _frame_json(_split(image)))


def find_peer(name: str) -> Path:
    """The interpreter of a peer's own environment below .venvs, made on first use."""
    folder = Path(__file__).parents[1] / ".venvs" / f"peer-{name}"
    program = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [program, "-m", "pip", "install", "--quiet", "-r", PEERS / f"{name}.txt"]
        subprocess.run(install, check=True)
        (folder / ".installed").touch()
    return program


def find_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def frame(path: str, body: bytes, content_type: str = "image/png", **headers: str) -> bytes:
    """A whole HTTP request."""
    named = {"host": "127.0.0.1", "content-type": content_type, "content-length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _frame_json(value: object) -> bytes:
    return frame("/invocations", json.dumps(value).encode(), "application/json")


def _encode(image: bytes) -> str:
    return base64.b64encode(image).decode()


def _split(image: bytes) -> object:
    return {"dataframe_split": {"columns": ["image"], "data": [[_encode(image)]]}}


def _sign(server: Server, port: int, image: bytes) -> bytes:
    session = boto3.Session(
        server.variables["AWS_ACCESS_KEY_ID"],
        server.variables["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    path = f"/endpoints/{NAME}/invocations"
    url = f"http://127.0.0.1:{port}{path}"
    request = AWSRequest("POST", url, {"content-type": "image/png", "host": f"127.0.0.1:{port}"}, image)
    SigV4Auth(session.get_credentials(), "sagemaker", "us-east-1").add_auth(request)
    return frame(path, image, **{name.lower(): value for name, value in request.headers.items()})


def _create_endpoint(server: Server, model: Path, capture: bool) -> None:
    s3, sagemaker = server.client("s3"), server.client("sagemaker")
    s3.create_bucket(Bucket=NAME)
    s3.upload_file(str(model), NAME, "model.tar.gz")
    account = server.client("sts").get_caller_identity()["Account"]
    image = f"{account}.dkr.ecr.us-east-1.amazonaws.com/scones:1"
    role = f"arn:aws:iam::{account}:role/{NAME}"
    container = {"Image": image, "ModelDataUrl": f"s3://{NAME}/model.tar.gz"}
    sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": NAME, "InstanceType": "ml.m5.large"}
    data_capture = {
        "EnableCapture": capture,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{NAME}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=NAME,
        ProductionVariants=[{**variant, "InitialInstanceCount": 1}],
        DataCaptureConfig=data_capture,
    )
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 240}
    )


@contextmanager
def _run(
    command: list[str], environment: dict[str, str], port: int, health: str, folder: Path
) -> Iterator[int]:
    """A server in a process group of its own, from its first healthy answer on; then stopped for good."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=PEERS, env=_extend(environment), stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(f"http://127.0.0.1:{port}{health}", process, folder / "log")
        yield process.pid
    finally:
        for pid in _list_tree(process.pid):  # some servers' workers leave the process group
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _extend(environment: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **environment}


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{process.args!r} does not start:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.2)


def _list_tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _read_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
