"""Starting, stopping, looking: through the command line, with real processes."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

PARTS = Path(__file__).with_name("parts.py")


def list_processes(state_dir: Path) -> list[str]:
    """Command lines of the processes that name `state_dir`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(state_dir) in line:
            found.append(line)
    return found


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_two_clouds_run_side_by_side_and_down_leaves_nothing(make_cloud: Callable[..., Any]) -> None:
    one, two = make_cloud("one"), make_cloud("two")
    ports = {one.up()["port"], two.up()["port"]}
    assert len(ports) == 2
    one.session()("s3").create_bucket(Bucket="only-in-one")
    assert two.session()("s3").list_buckets()["Buckets"] == []
    assert one.variables()["AWS_ACCESS_KEY_ID"] != two.variables()["AWS_ACCESS_KEY_ID"]
    for cloud in (one, two):
        cloud.down()
        assert list_processes(cloud.state_dir) == []
        assert cloud.status() == {"running": False, "state_dir": str(cloud.state_dir)}
    assert not any(accepts(port) for port in ports)


def test_a_second_cloud_on_the_same_state_is_refused(cloud: Any) -> None:
    done = cloud.run("up", "--detach", check=False)
    assert done.returncode == 1
    assert f"already runs on {cloud.state_dir}" in done.stderr.replace("\n", " ")
    assert "Use it (`scones env`), stop it (`scones down`)" in done.stderr
    assert cloud.status()["running"]


def test_a_taken_port_is_told(make_cloud: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = make_cloud().run("up", "--detach", "--port", str(port), check=False)
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr


def test_the_usual_port_taken_means_another_one(make_cloud: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 4566))
            taken.listen()
        except OSError:
            pass  # some other local cloud has it: as good
        own = make_cloud()
        done = own.run("up", "--detach")
    assert f"using {own.status()['port']}" in done.stderr
    assert own.status()["port"] != 4566


def test_state_survives_a_stop(make_cloud: Callable[..., Any]) -> None:
    own = make_cloud()
    own.up()
    key = own.variables()
    own.session()("s3").create_bucket(Bucket="kept")
    own.down()
    own.up()
    assert own.variables()["AWS_ACCESS_KEY_ID"] == key["AWS_ACCESS_KEY_ID"]
    assert [bucket["Name"] for bucket in own.session()("s3").list_buckets()["Buckets"]] == ["kept"]


def test_a_queue_moves_with_its_cloud(make_cloud: Callable[..., Any]) -> None:
    """The last run's port is taken again; if that is impossible, queues have the new port in their URLs."""
    own = make_cloud()
    port = own.up()["port"]
    own.session()("sqs").create_queue(QueueName="queue")
    own.down()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        moved = own.up()["port"]
    sqs = own.session()("sqs")
    url = sqs.get_queue_url(QueueName="queue")["QueueUrl"]
    assert url == f"http://127.0.0.1:{moved}/000000000000/queue"
    sqs.send_message(QueueUrl=url, MessageBody="x")
    own.kill()
    assert own.up()["port"] == moved
    sqs = own.session()("sqs")
    assert sqs.list_queues()["QueueUrls"] == [url]
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "x"


def test_a_killed_cloud_starts_again(make_cloud: Callable[..., Any]) -> None:
    own = make_cloud()
    own.up()
    own.kill()
    assert own.status() == {"running": False, "state_dir": str(own.state_dir)}
    assert own.run("env", check=False).returncode == 1
    own.up()
    assert own.session()("sts").get_caller_identity()["Account"] == "000000000000"


@pytest.mark.parametrize("victim", ["server_pid", "keeper_pid"])
def test_no_child_outlives_a_killed_cloud(
    victim: str, make_cloud: Callable[..., Any], wait_for: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mounted application starts a child in a session of its own, that ignores every polite signal."""
    from local_cloud import lifecycle

    own = make_cloud()
    monkeypatch.setenv("PYTHONPATH", f"{Path(lifecycle.__file__).parents[1]}:{PARTS.parent}")
    how = lifecycle.Start(mounts={"sagemaker": "parts:create_parent"})
    running, process = lifecycle.start(own.state_dir, how)
    child = int((own.state_dir / "child").read_text())
    assert os.path.exists(f"/proc/{child}")
    os.kill(getattr(running, victim), signal.SIGKILL)
    process.wait()
    wait_for(lambda: not lifecycle.is_locked(own.state_dir))
    wait_for(lambda: not os.path.exists(f"/proc/{child}") or "zombie" in read_status(child))


def read_status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "zombie"


def test_a_handler_that_runs_does_not_hold_up_the_end(
    make_cloud: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    own = make_cloud()
    own.up()
    client = own.session()
    role = client("iam").create_role(RoleName="sleeper", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="sleeper", Runtime="python3.11", Role=role, Handler="app.handler", Timeout=300,
        Code={"ZipFile": archive("import time\n\ndef handler(event, context):\n    time.sleep(300)\n")},
    )  # fmt: skip
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(client("lambda").invoke, FunctionName="sleeper")
        wait_for(lambda: any("awslambdaric" in line for line in list_processes(own.state_dir)))
        began = time.monotonic()
        own.down()
        assert time.monotonic() - began < 25, "it was killed"
        assert isinstance(answer.exception(), HTTPClientError | ClientError)


def archive(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("app.py", source)
    return buffer.getvalue()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_the_foreground_a_signal_stops_it(number: int, make_cloud: Callable[..., Any]) -> None:
    own = make_cloud()
    line = [sys.executable, "-m", "scones", "up", "--json", "--state-dir", str(own.state_dir)]
    with subprocess.Popen(
        line, env=own.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = json.loads(b"".join(iter(process.stdout.readline, b"}\n")) + b"}")
        assert accepts(told["port"])
        process.send_signal(number)
        assert process.wait(20) == 0
    assert list_processes(own.state_dir) == []


def test_only_the_owner_can_read_the_state(cloud: Any) -> None:
    home = cloud.state_dir / "cloud"
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "credentials.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "state.sqlite").stat().st_mode) == 0o600


def test_env_runs_a_command_with_the_environment(cloud: Any) -> None:
    script = "import os; print(os.environ['AWS_ENDPOINT_URL'], os.environ.get('AWS_SESSION_TOKEN'))"
    done = cloud.run("env", "--", sys.executable, "-c", script)
    assert done.stdout.split() == [cloud.status()["endpoint_url"], "None"]
    assert cloud.run("env", "--", sys.executable, "-c", "raise SystemExit(7)", check=False).returncode == 7


def test_env_prints_lines_for_a_shell(cloud: Any) -> None:
    line = 'eval "$1"; echo "$AWS_ENDPOINT_URL $AWS_REGION $AWS_DEFAULT_REGION"'
    done = subprocess.run(
        ["sh", "-c", line, "sh", cloud.run("env").stdout], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [cloud.status()["endpoint_url"], "us-east-1", "us-east-1"]


def test_env_can_be_a_role(cloud: Any) -> None:
    identity = cloud.session("--role", "notebook")("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/notebook/scones"
    refused = cloud.run("env", "--role", "nobody", check=False)
    assert refused.returncode == 2
    assert "'nobody' cannot be assumed" in refused.stderr


def test_it_is_small_when_idle(make_cloud: Callable[..., Any]) -> None:
    """150 MB is what is promised of an idle cloud with everything mounted; ours alone must stay far below."""
    own = make_cloud()
    own.up()
    assert own.status()["memory_bytes"] < 150e6
