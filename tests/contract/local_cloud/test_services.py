"""Each service of the workflow, and the ways in which they call each other, through boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]
Wait = Callable[..., Any]

ACCOUNT = "000000000000"


def make_role(client: Client, name: str, service: str, allow: list[dict[str, Any]]) -> str:
    """A role that `service` may take, with the policy `allow`; its ARN."""
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if allow:
        policy = json.dumps({"Version": "2012-10-17", "Statement": allow})
        client("iam").put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
    return arn


def make_queue(client: Client, name: str, sender: str = "") -> tuple[str, str]:
    """URL and ARN of a new queue into which the service `sender` may send."""
    url = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}"
    if sender:
        allow = {
            "Effect": "Allow", "Principal": {"Service": sender}, "Action": "sqs:SendMessage", "Resource": arn,
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def receive(client: Client, url: str) -> list[str]:
    """Bodies of the messages that wait."""
    found = client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [message["Body"] for message in found.get("Messages", [])]


def make_machine(
    client: Client, name: str, states: dict[str, Any], allow: list[dict[str, Any]] | None = None
) -> str:
    """ARN of a state machine that runs `states` from the first on, and may do what `allow` says."""
    role = make_role(client, f"{name}-role", "states.amazonaws.com", allow or [])
    definition = {"StartAt": next(iter(states)), "States": states}
    made = client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=role
    )
    return str(made["stateMachineArn"])


def test_s3_keeps_objects_in_any_size_and_in_parts(client: Client) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket="objects")
    large = bytes(range(256)) * 4096 * 20  # 20 MiB: boto3 uploads it in parts
    s3.put_object(
        Bucket="objects", Key="a/b.png", Body=b"image", ContentType="image/png", Metadata={"bay": "7"}
    )
    from io import BytesIO

    s3.upload_fileobj(BytesIO(large), "objects", "large")
    got = s3.get_object(Bucket="objects", Key="a/b.png")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"image", "image/png", {"bay": "7"})
    assert s3.get_object(Bucket="objects", Key="large")["Body"].read() == large
    listed = s3.list_objects_v2(Bucket="objects", Prefix="a/")["Contents"]
    assert [entry["Key"] for entry in listed] == ["a/b.png"]
    s3.delete_object(Bucket="objects", Key="a/b.png")
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="objects", Key="a/b.png")


def test_dynamodb_assigns_an_order_only_once(client: Client) -> None:
    """The conditional write with which two drivers cannot get the same order."""
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "1"}, "status": {"S": "OPEN"}})
    assign = {
        "TableName": "orders",
        "Key": {"id": {"S": "1"}},
        "UpdateExpression": "SET #s = :assigned, driver = :driver",
        "ConditionExpression": "#s = :open",
        "ExpressionAttributeNames": {"#s": "status"},
        "ExpressionAttributeValues": {
            ":assigned": {"S": "ASSIGNED"}, ":open": {"S": "OPEN"}, ":driver": {"S": "d-1"},
        },
    }  # fmt: skip
    dynamodb.update_item(**assign)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException):
        dynamodb.update_item(**assign)
    assert dynamodb.get_item(TableName="orders", Key={"id": {"S": "1"}})["Item"]["driver"] == {"S": "d-1"}


def test_sns_delivers_to_sqs(client: Client, wait_for: Wait) -> None:
    sns = client("sns")
    topic = sns.create_topic(Name="alerts")["TopicArn"]
    url, arn = make_queue(client, "alerts", "sns.amazonaws.com")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=topic, Message="low confidence")
    assert wait_for(lambda: receive(client, url)) == ["low confidence"]


def test_an_object_starts_an_execution_through_eventbridge(client: Client, wait_for: Wait) -> None:
    s3, events, states = client("s3"), client("events"), client("stepfunctions")
    machine = make_machine(client, "checkin", {"Pass": {"Type": "Pass", "End": True}})
    role = make_role(
        client, "start-checkin", "events.amazonaws.com",
        [{"Effect": "Allow", "Action": "states:StartExecution", "Resource": machine}],
    )  # fmt: skip
    s3.create_bucket(Bucket="checkins")
    s3.put_bucket_notification_configuration(
        Bucket="checkins", NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": ["checkins"]}, "object": {"key": [{"prefix": "incoming/"}]}},
    }
    events.put_rule(Name="checkins", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="checkins", Targets=[{"Id": "machine", "Arn": machine, "RoleArn": role}])
    s3.put_object(Bucket="checkins", Key="other/1.png", Body=b"x")
    s3.put_object(Bucket="checkins", Key="incoming/2.png", Body=b"x")

    def find() -> Any:
        return states.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"]

    (execution,) = wait_for(find)
    event = json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])
    assert event["detail"]["object"]["key"] == "incoming/2.png"


def test_a_rule_on_a_schedule_is_kept(client: Client) -> None:
    events = client("events")
    _, arn = make_queue(client, "ticks", "events.amazonaws.com")
    events.put_rule(Name="ticks", ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule="ticks", Targets=[{"Id": "queue", "Arn": arn, "Input": '{"tick": true}'}])
    assert events.describe_rule(Name="ticks")["ScheduleExpression"] == "rate(1 minute)"
    assert events.list_targets_by_rule(Rule="ticks")["Targets"][0]["Arn"] == arn
    events.remove_targets(Rule="ticks", Ids=["queue"])
    events.delete_rule(Name="ticks")


def test_a_state_machine_calls_other_services(client: Client, wait_for: Wait) -> None:
    states = client("stepfunctions")
    url, arn = make_queue(client, "from-states")
    machine = make_machine(
        client,
        "sender",
        {
            "Send": {
                "Type": "Task",
                "Resource": "arn:aws:states:::sqs:sendMessage",
                "Parameters": {"QueueUrl": url, "MessageBody.$": "$.text"},
                "End": True,
            }
        },
        [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}],
    )
    run = states.start_execution(stateMachineArn=machine, input='{"text": "hello"}')["executionArn"]
    wait_for(lambda: states.describe_execution(executionArn=run)["status"] == "SUCCEEDED")
    assert receive(client, url) == ["hello"]
    history = states.get_execution_history(executionArn=run)["events"]
    assert [history[0]["type"], history[-1]["type"]] == ["ExecutionStarted", "ExecutionSucceeded"]


def test_an_alarm_notifies_a_topic(client: Client, wait_for: Wait) -> None:
    cloudwatch = client("cloudwatch")
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    url, arn = make_queue(client, "alarms", "sns.amazonaws.com")
    client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    cloudwatch.put_metric_alarm(
        AlarmName="slow",
        Namespace="Scones",
        MetricName="Latency",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=100.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[topic],
    )
    cloudwatch.put_metric_data(Namespace="Scones", MetricData=[{"MetricName": "Latency", "Value": 500.0}])
    alarm = {"AlarmNames": ["slow"]}
    wait_for(lambda: cloudwatch.describe_alarms(**alarm)["MetricAlarms"][0]["StateValue"] == "ALARM")
    (text,) = wait_for(lambda: receive(client, url))
    assert json.loads(text)["NewStateValue"] == "ALARM"


def test_logs_are_written_and_filtered(client: Client) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="/scones/test")
    logs.create_log_stream(logGroupName="/scones/test", logStreamName="one")
    from time import time

    lines = [{"timestamp": int(time() * 1000), "message": text} for text in ("INFO fine", "ERROR broken")]
    logs.put_log_events(logGroupName="/scones/test", logStreamName="one", logEvents=lines)
    found = logs.filter_log_events(logGroupName="/scones/test", filterPattern="ERROR")["events"]
    assert [event["message"] for event in found] == ["ERROR broken"]


TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "stack-queue"}},
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "stack-bucket"}},
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "stack-table",
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            },
        },
    },
    "Outputs": {"QueueUrl": {"Value": {"Ref": "Queue"}}},
}

SAM: dict[str, Any] = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Resources": {
        "Greet": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "FunctionName": "stack-greet",
                "Runtime": "python3.11",
                "Handler": "index.handler",
                "InlineCode": "def handler(event, context):\n    return {'hello': event['name']}\n",
            },
        },
        "Machine": {
            "Type": "AWS::Serverless::StateMachine",
            "Properties": {
                "Name": "stack-machine",
                "Definition": {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}},
                "Role": f"arn:aws:iam::{ACCOUNT}:role/notebook",
            },
        },
    },
}


def wait_stack(client: Client, name: str, status: str) -> dict[str, Any]:
    waiter = client("cloudformation").get_waiter(f"stack_{status}")
    waiter.wait(StackName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 200})
    found: dict[str, Any] = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return found


def test_a_stack_is_created_updated_and_deleted(client: Client) -> None:
    cloudformation = client("cloudformation")
    cloudformation.create_stack(StackName="plain", TemplateBody=json.dumps(TEMPLATE))
    stack = wait_stack(client, "plain", "create_complete")
    client("sqs").send_message(QueueUrl=stack["Outputs"][0]["OutputValue"], MessageBody="x")
    client("dynamodb").put_item(TableName="stack-table", Item={"id": {"S": "1"}})
    updated = json.loads(json.dumps(TEMPLATE))
    updated["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] = 77
    del updated["Resources"]["Table"]
    cloudformation.update_stack(StackName="plain", TemplateBody=json.dumps(updated))
    wait_stack(client, "plain", "update_complete")
    url = client("sqs").get_queue_url(QueueName="stack-queue")["QueueUrl"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "77"
    assert "stack-table" not in client("dynamodb").list_tables()["TableNames"]
    cloudformation.delete_stack(StackName="plain")
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName="plain", WaiterConfig={"Delay": 0.1, "MaxAttempts": 200}
    )
    assert "stack-bucket" not in [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]


def deploy(client: Client, template: dict[str, Any], kind: str) -> None:
    """What `sam deploy` does: a change set of `kind`, made, awaited and executed."""
    cloudformation, name = client("cloudformation"), kind.lower()
    cloudformation.create_change_set(
        StackName="sam",
        ChangeSetName=name,
        ChangeSetType=kind,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    patience = {"Delay": 0.1, "MaxAttempts": 300}
    waiter = cloudformation.get_waiter("change_set_create_complete")
    waiter.wait(StackName="sam", ChangeSetName=name, WaiterConfig=patience)
    cloudformation.execute_change_set(StackName="sam", ChangeSetName=name)
    wait_stack(client, "sam", f"{name}_complete")


def test_a_sam_template_is_deployed_updated_and_deleted(client: Client) -> None:
    def greet() -> Any:
        answer = client("lambda").invoke(FunctionName="stack-greet", Payload=b'{"name": "driver"}')
        return json.loads(answer["Payload"].read())

    deploy(client, SAM, "CREATE")
    assert greet() == {"hello": "driver"}
    machines = client("stepfunctions").list_state_machines()["stateMachines"]
    assert "stack-machine" in [machine["name"] for machine in machines]
    changed = json.loads(json.dumps(SAM).replace("'hello'", "'goodbye'"))
    deploy(client, changed, "UPDATE")
    assert greet() == {"goodbye": "driver"}
    client("cloudformation").delete_stack(StackName="sam")
    client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName="sam", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
    )
    with pytest.raises(ClientError, match="ResourceNotFound"):
        greet()


def test_a_template_with_an_unknown_resource_is_refused(client: Client) -> None:
    broken = {"Resources": {"Missing": {"Type": "AWS::Scones::Nothing"}}}
    with pytest.raises(ClientError, match="AWS::Scones::Nothing"):
        client("cloudformation").create_stack(StackName="broken", TemplateBody=json.dumps(broken))


def test_a_stack_that_fails_is_rolled_back(client: Client, wait_for: Wait) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nothing:1"
    broken = {
        "Type": "AWS::SageMaker::Model",
        "DependsOn": "Queue",
        "Properties": {
            "ExecutionRoleArn": f"arn:aws:iam::{ACCOUNT}:role/notebook",
            "PrimaryContainer": {"Image": image, "ModelDataUrl": "s3://nothing/model.tar.gz"},
        },
    }
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "rolled-back"}}
    cloudformation = client("cloudformation")
    body = json.dumps({"Resources": {"Queue": queue, "Model": broken}})
    cloudformation.create_stack(StackName="fails", TemplateBody=body)

    def status() -> str:
        return str(cloudformation.describe_stacks(StackName="fails")["Stacks"][0]["StackStatus"])

    wait_for(lambda: status() == "ROLLBACK_COMPLETE")
    with pytest.raises(ClientError, match="NonExistentQueue"):
        client("sqs").get_queue_url(QueueName="rolled-back")


def test_a_role_may_do_what_its_policy_says_and_nothing_else(
    cloud: Any, client: Client, connect: Callable[..., Client], assume: Callable[..., Client]
) -> None:
    s3 = client("s3")
    for name in ("mine", "theirs"):
        s3.create_bucket(Bucket=f"bucket-{name}")
        s3.put_object(Bucket=f"bucket-{name}", Key="in/1", Body=b"x")
    allow = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket-mine/in/*"},
        {"Effect": "Allow", "Action": "sqs:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "sqs:DeleteQueue", "Resource": "*"},
    ]
    narrow = assume(lambda **replaced: connect({**cloud.variables(), **replaced}), "narrow", allow)
    assert narrow("s3").get_object(Bucket="bucket-mine", Key="in/1")["Body"].read() == b"x"
    url = narrow("sqs").create_queue(QueueName="narrow")["QueueUrl"]
    for refused in (
        lambda: narrow("s3").get_object(Bucket="bucket-theirs", Key="in/1"),
        lambda: narrow("s3").put_object(Bucket="bucket-mine", Key="in/1", Body=b"y"),
        lambda: narrow("s3").list_buckets(),
        lambda: narrow("sqs").delete_queue(QueueUrl=url),
        lambda: narrow("dynamodb").list_tables(),
        lambda: narrow("stepfunctions").list_state_machines(),
        lambda: narrow("iam").create_user(UserName="me"),
        lambda: narrow("cloudformation").describe_stacks(),
        lambda: narrow("cloudwatch").describe_alarms(),
        lambda: narrow("lambda").list_functions(),
    ):
        with pytest.raises(ClientError, match="AccessDenied") as caught:
            refused()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 403)


def test_the_notebook_role_reaches_the_workflow_and_not_the_account(cloud: Any) -> None:
    notebook = cloud.session("--role", "notebook")
    notebook("s3").create_bucket(Bucket="from-a-notebook")
    notebook("stepfunctions").list_state_machines()
    with pytest.raises(ClientError, match="AccessDenied"):
        notebook("iam").create_user(UserName="intruder")
