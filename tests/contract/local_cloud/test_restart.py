"""What each service holds after a stop, a kill, and with damaged files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
ROLE = "arn:aws:iam::000000000000:role/notebook"
WAIT = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}})
PASS = json.dumps({"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}})


def pack(source: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", source)
    return packed.getvalue()


def write_everything(client: Client) -> None:
    """Something of every service."""
    client("s3").create_bucket(Bucket="bucket")
    client("s3").put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
    for text in (b"one", b"two"):
        client("s3").put_object(Bucket="bucket", Key="key", Body=text, Metadata={"text": text.decode()})
    client("s3").put_object_tagging(
        Bucket="bucket", Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}
    )
    client("iam").create_role(RoleName="role", AssumeRolePolicyDocument="{}")
    client("sns").create_topic(Name="topic")
    client("sqs").create_queue(QueueName="line.fifo", Attributes={"FifoQueue": "true"})
    url = f"{client('sqs').meta.endpoint_url}/000000000000/line.fifo"
    for number in range(12):
        client("sqs").send_message(
            QueueUrl=url, MessageBody=str(number), MessageGroupId="g", MessageDeduplicationId=str(number)
        )
    client("dynamodb").create_table(
        TableName="table",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "at", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(5):
        client("dynamodb").put_item(
            TableName="table", Item={"id": {"S": "x"}, "at": {"N": str(number)}, "b": {"B": b"\x00\xff"}}
        )
    client("dynamodb").delete_item(TableName="table", Key={"id": {"S": "x"}, "at": {"N": "0"}})
    client("events").put_rule(Name="rule", EventPattern='{"source": ["aws.s3"]}')
    client("ssm").put_parameter(Name="/a", Value="b", Type="String")
    client("secretsmanager").create_secret(Name="secret", SecretString="s")
    client("logs").create_log_group(logGroupName="/group")
    client("cloudwatch").put_metric_alarm(
        AlarmName="alarm", Namespace="N", MetricName="M", Statistic="Sum", Period=60, EvaluationPeriods=1,
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    client("lambda").create_function(
        FunctionName="function", Runtime="python3.11", Handler="app.handler", Role=ROLE,
        Code={"ZipFile": pack("def handler(event, context):\n    return event['a'] + 1\n")},
    )  # fmt: skip
    states = client("stepfunctions")
    for name, definition in (("wait", WAIT), ("pass", PASS)):
        machine = states.create_state_machine(name=name, definition=definition, roleArn=ROLE)
        states.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=f"run-{name}", input='{"a": 1}'
        )
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "of-the-stack"}}
    client("cloudformation").create_stack(
        StackName="stack", TemplateBody=json.dumps({"Resources": {"Queue": queue}})
    )
    client("cloudformation").get_waiter("stack_create_complete").wait(
        StackName="stack", WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
    )


def check_everything(client: Client) -> None:
    got = client("s3").get_object(Bucket="bucket", Key="key")
    assert (got["Body"].read(), got["Metadata"]) == (b"two", {"text": "two"})
    versions = client("s3").list_object_versions(Bucket="bucket")["Versions"]
    texts = [
        client("s3").get_object(Bucket="bucket", Key="key", VersionId=version["VersionId"])["Body"].read()
        for version in versions
    ]
    assert texts == [b"two", b"one"]
    assert client("s3").get_object_tagging(Bucket="bucket", Key="key")["TagSet"] == [
        {"Key": "a", "Value": "b"}
    ]
    assert client("iam").get_role(RoleName="role")["Role"]["RoleName"] == "role"
    assert len(client("sns").list_topics()["Topics"]) == 1
    url = client("sqs").get_queue_url(QueueName="line.fifo")["QueueUrl"]
    bodies = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)[
        "Messages"
    ]
    assert [message["Body"] for message in bodies] == [str(number) for number in range(10)]
    items = client("dynamodb").scan(TableName="table")["Items"]
    assert [(item["at"]["N"], item["b"]["B"]) for item in items] == [
        (str(n), b"\x00\xff") for n in range(1, 5)
    ]
    assert client("events").describe_rule(Name="rule")["State"] == "ENABLED"
    assert client("ssm").get_parameter(Name="/a")["Parameter"]["Value"] == "b"
    assert client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"] == "s"
    assert client("cloudwatch").describe_alarms(AlarmNames=["alarm"])["MetricAlarms"]
    answer = client("lambda").invoke(FunctionName="function", Payload=b'{"a": 1}')
    assert json.loads(answer["Payload"].read()) == 2
    stack = client("cloudformation").describe_stacks(StackName="stack")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert client("sqs").get_queue_url(QueueName="of-the-stack")


def test_everything_survives_kill_and_stop(
    make_cloud: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    own = make_cloud()
    own.up()
    client = own.session()
    write_everything(client)
    prefix = "arn:aws:states:us-east-1:000000000000:execution:"
    done, waiting = f"{prefix}pass:run-pass", f"{prefix}wait:run-wait"
    wait_for(lambda: client("stepfunctions").describe_execution(executionArn=done)["status"] == "SUCCEEDED")
    own.kill()
    for end in (own.down, own.kill):
        own.up()
        client = own.session()
        check_everything(client)
        # An end that somebody was told of stays; what still ran is shown as failed, with its history.
        states = client("stepfunctions")
        told = states.describe_execution(executionArn=done)
        assert (told["status"], told["output"]) == ("SUCCEEDED", '{"a": 1}')
        failed = states.describe_execution(executionArn=waiting)
        assert (failed["status"], failed["error"]) == ("FAILED", "States.ServiceRestart")
        history = states.get_execution_history(executionArn=waiting)["events"]
        assert [event["type"] for event in history][-1] == "ExecutionFailed"
        end()


def test_objects_with_any_key_survive(make_cloud: Callable[..., Any]) -> None:
    keys = [
        "a",
        "a/b",
        "a/b/c",
        "folder/",
        "x//y",
        "../up",
        "ü/é ?&=+%20.png",
        "k" * 900,
        "one.tmp",
        "two.meta.json",
    ]
    own = make_cloud()
    own.up()
    client = own.session()
    client("s3").create_bucket(Bucket="bucket")
    for key in keys:
        client("s3").put_object(Bucket="bucket", Key=key, Body=key.encode(), ContentType="text/scones")
    client("s3").copy_object(Bucket="bucket", Key="copy", CopySource={"Bucket": "bucket", "Key": "a/b"})
    client("s3").delete_object(Bucket="bucket", Key="x//y")
    own.kill()
    own.up()
    client = own.session()
    expected = {key: key for key in keys if key != "x//y"} | {"copy": "a/b"}
    assert {entry["Key"] for entry in client("s3").list_objects_v2(Bucket="bucket")["Contents"]} == set(
        expected
    )
    for key, text in expected.items():
        got = client("s3").get_object(Bucket="bucket", Key=key)
        assert (got["Body"].read().decode(), got["ContentType"]) == (text, "text/scones")


def test_metrics_and_logs_are_kept_by_a_stop(make_cloud: Callable[..., Any]) -> None:
    from time import time

    own = make_cloud()
    own.up()
    client = own.session()
    client("logs").create_log_group(logGroupName="/group")
    client("logs").create_log_stream(logGroupName="/group", logStreamName="stream")
    line = {"timestamp": int(time() * 1000), "message": "hello"}
    client("logs").put_log_events(logGroupName="/group", logStreamName="stream", logEvents=[line])
    client("cloudwatch").put_metric_data(Namespace="N", MetricData=[{"MetricName": "M", "Value": 1.0}])
    own.down()
    own.up()
    client = own.session()
    events = client("logs").get_log_events(logGroupName="/group", logStreamName="stream")["events"]
    assert [event["message"] for event in events] == ["hello"]
    assert client("cloudwatch").list_metrics(Namespace="N")["Metrics"][0]["MetricName"] == "M"


def test_an_unfinished_stack_can_be_removed_after_a_kill(make_cloud: Callable[..., Any]) -> None:
    own = make_cloud()
    own.up()
    client = own.session()
    wait = {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Wait": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "3600"},
        },
    }
    client("cloudformation").create_stack(StackName="stack", TemplateBody=json.dumps({"Resources": wait}))
    own.kill()
    own.up()
    client = own.session()
    stack = client("cloudformation").describe_stacks(StackName="stack")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_FAILED"
    assert "restarted" in stack["StackStatusReason"]
    client("cloudformation").delete_stack(StackName="stack")
    client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName="stack", WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
    )


def damage_database(home: Path) -> Path:
    path = home / "state.sqlite"
    path.write_bytes(path.read_bytes().replace(b'"name":"queue"', b'"name":"quexe"'))
    return path


def truncate_database(home: Path) -> Path:
    path = home / "state.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    return path


def empty_database(home: Path) -> Path:
    path = home / "state.sqlite"
    path.write_bytes(b"")
    return path


def replace_database(home: Path) -> Path:
    path = home / "state.sqlite"
    path.write_bytes(b"this is not a database" * 1000)
    return path


def damage_sidecar(home: Path) -> Path:
    path = home / "s3/000000000000/bucket/key.meta.json"
    path.write_bytes(path.read_bytes()[:-5])
    return path


def shorten_object(home: Path) -> Path:
    path = home / "s3/000000000000/bucket/key"
    path.write_bytes(b"obj")
    return path


def damage_credentials(home: Path) -> Path:
    path = home / "credentials.json"
    path.write_text("{")
    return path


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, new_cloud: Callable[..., Any]) -> Any:
    """A cloud with a queue and an object, stopped."""
    own = new_cloud(tmp_path_factory.mktemp("stopped") / ".scones")
    own.up()
    client = own.session()
    client("sqs").create_queue(QueueName="queue")
    client("s3").create_bucket(Bucket="bucket")
    client("s3").put_object(Bucket="bucket", Key="key", Body=b"object")
    own.down()
    return own


@pytest.mark.parametrize(
    "damage",
    [
        damage_database, truncate_database, empty_database, replace_database, damage_sidecar, shorten_object,
        damage_credentials,
    ],
)  # fmt: skip
def test_damaged_state_stops_the_start_and_is_left_alone(
    damage: Callable[[Path], Path], stopped: Any, tmp_path: Path, new_cloud: Callable[..., Any]
) -> None:
    import shutil

    shutil.copytree(stopped.state_dir, tmp_path / ".scones")
    own = new_cloud(tmp_path / ".scones")
    path = damage(own.state_dir / "cloud")
    damaged = path.read_bytes()
    assert damaged != (stopped.state_dir / "cloud" / path.relative_to(own.state_dir / "cloud")).read_bytes()
    refused = own.run("up", "--detach", check=False)
    assert refused.returncode == 1
    said = refused.stderr.replace("\n", "")
    assert str(path) in said
    assert "move" in said
    assert path.read_bytes() == damaged
    assert not own.status()["running"]


def test_a_state_dir_of_a_later_version_is_refused(
    stopped: Any, tmp_path: Path, new_cloud: Callable[..., Any]
) -> None:
    import shutil
    import sqlite3
    from contextlib import closing

    shutil.copytree(stopped.state_dir, tmp_path / ".scones")
    own = new_cloud(tmp_path / ".scones")
    with closing(sqlite3.connect(own.state_dir / "cloud/state.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")
    refused = own.run("up", "--detach", check=False)
    assert refused.returncode == 1
    assert "format 99" in refused.stderr.replace("\n", " ")


def test_deleted_things_stay_deleted(make_cloud: Callable[..., Any]) -> None:
    own = make_cloud()
    own.up()
    client = own.session()
    write_everything(client)
    own.down()
    own.up()
    client = own.session()
    url = client("sqs").get_queue_url(QueueName="line.fifo")["QueueUrl"]
    client("sqs").purge_queue(QueueUrl=url)
    client("dynamodb").delete_table(TableName="table")
    client("lambda").delete_function(FunctionName="function")
    client("stepfunctions").delete_state_machine(
        stateMachineArn="arn:aws:states:us-east-1:000000000000:stateMachine:pass"
    )
    own.kill()
    own.up()
    client = own.session()
    name = "ApproximateNumberOfMessages"
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]
    assert found == "0"
    assert client("dynamodb").list_tables()["TableNames"] == []
    with pytest.raises(ClientError, match="ResourceNotFound"):
        client("lambda").get_function(FunctionName="function")
    machines = client("stepfunctions").list_state_machines()["stateMachines"]
    assert [machine["name"] for machine in machines] == ["wait"]
