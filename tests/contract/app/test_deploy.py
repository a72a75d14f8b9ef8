"""A stack's life on the local cloud: show, change, roll back, delete, and nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.contract.app.conftest import ROOT, Application

NAME = "second"


@pytest.fixture
def second(application: Application) -> str:
    application.scones("app", "deploy", "--stack", NAME, "--yes")
    return NAME


def list_things(application: Application) -> set[str]:
    """Everything of the second stack that could cost money or get in the way."""
    return {
        name
        for name in [
            *(b["Name"] for b in application.client("s3").list_buckets()["Buckets"]),
            *application.client("dynamodb").list_tables()["TableNames"],
            *application.client("sqs").list_queues().get("QueueUrls", []),
            *(t["TopicArn"] for t in application.client("sns").list_topics()["Topics"]),
            *(
                f["FunctionName"]
                for f in application.client("lambda").list_functions(MaxItems=50)["Functions"]
            ),
            *(m["name"] for m in application.client("stepfunctions").list_state_machines()["stateMachines"]),
            *(g["logGroupName"] for g in application.client("logs").describe_log_groups()["logGroups"]),
            *(r["RoleName"] for r in application.client("iam").list_roles()["Roles"]),
            *(a["AlarmName"] for a in application.client("cloudwatch").describe_alarms()["MetricAlarms"]),
            *(r["Name"] for r in application.client("events").list_rules()["Rules"]),
        ]
        if NAME in name
    }


def test_a_second_deployment_changes_nothing_and_a_parameter_changes_its_function(
    application: Application, second: str
) -> None:
    done = application.scones("app", "deploy", "--stack", second, "--yes")
    assert "nothing to change" in done.stderr
    done = application.scones("app", "deploy", "--stack", second, "--threshold", "0.8", "--yes", "--json")
    changed = [line.split("│")[2].strip() for line in done.stderr.splitlines() if "│ Modify" in line]
    assert "FilterInferencesFunction" in changed
    assert not {"Bucket", "OrdersTable", "CheckinsTable", "AssignOrderFunction"} & set(changed)
    assert json.loads(done.stdout)["BucketName"]
    found = application.client("lambda").get_function_configuration(
        FunctionName=f"{second}-filter-inferences"
    )
    assert found["Environment"]["Variables"]["THRESHOLD"] == "0.8"
    # A parameter that is not given keeps its value.
    assert "nothing to change" in application.scones("app", "deploy", "--stack", second, "--yes").stderr


def test_nothing_happens_without_consent(application: Application) -> None:
    done = application.scones("app", "deploy", "--stack", "unwanted", check=False)
    assert done.returncode != 0
    assert application.scones("app", "outputs", "--stack", "unwanted", check=False).returncode == 1


def test_a_deployment_that_fails_says_why_and_is_rolled_back(
    application: Application, tmp_path: Path
) -> None:
    text = (ROOT / "template.yaml").read_text().replace("CodeUri: functions/", f"CodeUri: {ROOT}/functions/")
    text = text.replace("DefinitionUri: statemachine/", f"DefinitionUri: {ROOT}/statemachine/")
    broken = tmp_path / "template.yaml"
    # The local CloudFormation knows no metric mathematics, and finds that out when it makes the alarm.
    mathematics = "Metrics: [{Id: e, Expression: 1 + 1}]"
    broken.write_text(text.replace("MetricName: Throttles", mathematics).replace("Namespace: AWS/Lambda", ""))
    line = ("app", "deploy", "--stack", "broken", "--template", str(broken), "--yes")
    done = application.scones(*line, check=False)
    assert done.returncode == 1
    assert "FunctionThrottlesAlarm: " in done.stderr
    broken.write_text(text)
    assert application.scones(*line, check=False).returncode == 0  # the broken remains are no obstacle
    application.scones("app", "delete", "--stack", "broken", "--yes")


def test_the_same_definitions_run_as_express(application: Application, second: str) -> None:
    """Photos that are not there need no endpoint, and go through the failing half of the machine."""
    stack = ("--stack", second)
    application.scones("app", "deploy", *stack, "-p", "WorkflowType=EXPRESS", "--yes")
    done = application.scones("workflow", "run", "incoming/d/none.png", *stack, "--json", check=False)
    assert json.loads(done.stdout)["checkins"][0]["outcome"] == "InvalidImage", done.stderr
    keys = application.directory / "keys.json"
    keys.write_text('["backlog/a.png", "backlog/b.png"]')
    line = ("workflow", "batch", "--keys", str(keys), "--tolerate", "100", *stack, "--json")
    assert json.loads(application.scones(*line).stdout)["outcomes"] == {"InvalidImage": 2}


def test_delete_leaves_nothing_and_says_so(application: Application, second: str) -> None:
    bucket = json.loads(application.scones("app", "outputs", "--stack", second, "--json").stdout)[
        "BucketName"
    ]
    for version in (b"one", b"two"):
        application.client("s3").put_object(Bucket=bucket, Key="backlog/x.png", Body=version)
    application.client("s3").delete_object(Bucket=bucket, Key="backlog/x.png")
    assert len(list_things(application)) > 40
    done = application.scones("app", "delete", "--stack", second, "--yes", "--json")
    *keys, endpoint = json.loads(done.stdout)["kept"]
    assert all("KMS key" in line for line in keys)
    assert "may still run" in endpoint  # there is no SageMaker in this cloud to ask
    assert list_things(application) == set()
    assert application.scones("app", "delete", "--stack", second, "--yes").returncode == 0


def test_usage_is_checked_before_anything_is_called(application: Application) -> None:
    done = application.scones("app", "deploy", "-p", "Threshold", "--yes", check=False)
    assert (done.returncode, "NAME=VALUE" in done.stderr) == (2, True)
    done = application.scones("app", "deploy", "--target", "aws", "--yes", check=False)
    assert (done.returncode, "AWS_ENDPOINT_URL" in done.stderr) == (2, True)
