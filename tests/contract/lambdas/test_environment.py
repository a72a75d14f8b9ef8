"""What a handler finds around it: variables, modules, files, credentials; and how its process ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROLE, Cloud, archive
from .test_invoke import invoke, wait_until


def test_the_environment_is_clean(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_LAPTOP", "x")
    source = "import os\ndef handler(event, context): return dict(os.environ)"
    settings = {"Environment": {"Variables": {"BUCKET": "b", "AWS_REGION": "mars"}}, "MemorySize": 256}
    cloud.create_function("variables", source, **settings)
    found = invoke(cloud, "variables")[0]
    assert {"SECRET_OF_THE_LAPTOP", "USER", "VIRTUAL_ENV"}.isdisjoint(found)
    assert found["BUCKET"] == "b"
    assert found["AWS_REGION"] == "us-east-1", "reserved variables win"
    assert found["AWS_ENDPOINT_URL"] == cloud.url
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "variables"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    assert found["TZ"] == ":UTC"


def test_the_context_tells_the_function_and_the_time_left(cloud: Cloud) -> None:
    source = """
def handler(event, context):
    return [context.function_name, context.memory_limit_in_mb, context.invoked_function_arn,
            context.log_group_name, context.get_remaining_time_in_millis()]
"""
    cloud.create_function("context", source, Timeout=5)
    *named, left = invoke(cloud, "context")[0]
    arn = "arn:aws:lambda:us-east-1:000000000000:function:context"
    assert named == ["context", "128", arn, "/aws/lambda/context"]
    assert 3000 < left <= 5000


def test_boto3_is_there_and_acts_as_the_role(cloud: Cloud) -> None:
    source = """
import boto3
def handler(event, context): return boto3.client("sts").get_caller_identity()["Arn"]
"""
    cloud.create_function("who", source, Timeout=30)
    assert invoke(cloud, "who")[0] == "arn:aws:sts::000000000000:assumed-role/handler/who"


def test_nothing_else_of_ours_can_be_imported(cloud: Cloud) -> None:
    source = """
import importlib
def handler(event, context):
    found = []
    for name in event:
        try: importlib.import_module(name); found.append(name)
        except ImportError: pass
    return found
"""
    cloud.create_function("imports", source)
    names = ["numpy", "PIL", "ministack", "local_cloud", "scones", "pytest", "json", "botocore", "urllib3"]
    assert invoke(cloud, "imports", names)[0] == ["json", "botocore", "urllib3"]


def test_own_packages_come_before_layers_before_the_runtime(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    layers = [
        client.publish_layer_version(LayerName=f"layer{n}", Content={"ZipFile": archive(files)})
        for n, files in enumerate(
            [
                {"python/shared.py": "origin = 'layer 0'", "python/six.py": "origin = 'layer 0'"},
                {"python/shared.py": "origin = 'layer 1'", "python/own.py": "origin = 'layer 1'"},
            ]
        )
    ]
    handler = "import own, shared, six\ndef handler(e, c): return [own.origin, shared.origin, six.origin]"
    client.create_function(
        FunctionName="packages",
        Code={"ZipFile": archive({"app.py": handler, "own/__init__.py": "origin = 'function'"})},
        Runtime="python3.11",
        Handler="app.handler",
        Role=ROLE,
        Timeout=20,
        Layers=[layer["LayerVersionArn"] for layer in layers],
    )
    assert invoke(cloud, "packages")[0] == ["function", "layer 1", "layer 0"]


def test_a_warm_environment_keeps_its_process_and_its_files(cloud: Cloud) -> None:
    source = """
import os, tempfile
def handler(event, context):
    path = os.path.join(tempfile.gettempdir(), "seen")
    count = int(open(path).read()) + 1 if os.path.exists(path) else 1
    open(path, "w").write(str(count))
    return [os.getpid(), count]
"""
    cloud.create_function("warm", source)
    cloud.create_function("other", source)
    (pid, count), (same, more) = (invoke(cloud, "warm")[0] for _ in range(2))
    assert (same, count, more) == (pid, 1, 2)
    assert invoke(cloud, "other")[0][1] == 1, "no other function sees these files"
    cloud.client("lambda").update_function_configuration(
        FunctionName="warm", Description="changed", Timeout=9
    )
    new, count = invoke(cloud, "warm")[0]
    assert (new != pid, count) == (True, 1)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_file_larger_than_the_storage_is_refused(cloud: Cloud) -> None:
    source = """
import tempfile
def handler(event, context):
    with tempfile.TemporaryFile() as file:
        file.truncate(event * 2**20)
    return event
"""
    cloud.create_function("stores", source, EphemeralStorage={"Size": 512})
    assert invoke(cloud, "stores", 500)[0] == 500
    assert invoke(cloud, "stores", 600)[0]["errorType"] == "OSError"


CLOUD = """
import json, sys, threading, time
from pathlib import Path
from local_cloud import lambdas
from ministack.services import lambda_svc
service = lambdas.install(Path(sys.argv[1]), "http://127.0.0.1:1")
record = {"code_zip": Path(sys.argv[2]).read_bytes(), "config": {
    "FunctionName": "f", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
    "Handler": "app.handler", "Runtime": "python3.11", "Timeout": 60, "CodeSha256": "x"}}
other = {"FunctionName": "b", "FunctionArn": record["config"]["FunctionArn"] + "b"}
busy = dict(record, config=record["config"] | other)
print(json.dumps(lambda_svc._execute_function(record, False)["body"]), flush=True)
threading.Thread(target=lambda_svc._execute_function, args=(busy, True), daemon=True).start()
time.sleep(60)
"""

BUSY_HANDLER = """
import os, subprocess
child = subprocess.Popen(["sleep", "60"])
def handler(event, context):
    if event:
        os.kill(os.getpid(), 0)
        open(os.environ["LAMBDA_TASK_ROOT"] + "/busy", "w").write(f"{os.getpid()} {child.pid}")
        while True: pass
    return [os.getpid(), child.pid]
"""


def test_processes_die_with_the_local_cloud_whatever_they_do(tmp_path: Path) -> None:
    (tmp_path / "code.zip").write_bytes(archive({"app.py": BUSY_HANDLER}))
    arguments = [sys.executable, "-c", CLOUD, str(tmp_path), str(tmp_path / "code.zip")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as cloud:
        assert cloud.stdout
        idle: list[int] = json.loads(cloud.stdout.readline())
        written: Any = lambda: [*(tmp_path / "lambda/code").glob("*/busy")]  # noqa: E731
        wait_until(lambda: written() and len(written()[0].read_text().split()) == 2)
        processes = [*idle, *map(int, written()[0].read_text().split())]
        assert all(is_running(pid) for pid in processes)
        os.kill(cloud.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_running(pid) for pid in processes))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
