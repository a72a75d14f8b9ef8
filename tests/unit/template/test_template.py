"""template.yaml: clean for cfn-lint, and what we promise of every resource holds for each."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scones.aws.templates import read_template

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "template.yaml"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    found = read_template(TEMPLATE)["Resources"]
    assert isinstance(found, dict)
    return found


def of_type(resources: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in resources.items() if r["Type"] == kind}


def test_cfn_lint_has_nothing_to_say() -> None:
    line = [Path(sys.executable).with_name("cfn-lint"), "--", str(TEMPLATE)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def statements(resources: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, resource in resources.items():
        properties = resource["Properties"]
        documents = [entry["PolicyDocument"] for entry in properties.get("Policies", [])]
        if resource["Type"] in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
            documents.append(properties["PolicyDocument"])
        found += [(name, statement) for document in documents for statement in document["Statement"]]
    return found


def test_no_role_has_a_wildcard_action_or_resource(resources: dict[str, Any]) -> None:
    """`*` is left only where AWS knows no resources: traces and the delivery of logs."""
    for name, statement in statements(resources):
        assert all("*" not in action for action in statement["Action"]), name
        assert statement["Resource"] != "*" or name in ("WriteTraces", "DeliverLogs"), name


def test_every_function_has_its_own_role_logs_and_folder(resources: dict[str, Any]) -> None:
    functions = of_type(resources, "AWS::Serverless::Function")
    folders = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir()}
    assert {f["CodeUri"].split("/")[1] for f in functions.values()} == folders
    roles = [f["Role"]["Fn::GetAtt"][0] for f in functions.values()]
    logs = [f["LoggingConfig"]["LogGroup"]["Ref"] for f in functions.values()]
    assert len(set(roles)) == len(set(logs)) == len(functions)
    assert all(name in resources for name in [*roles, *logs])


def test_every_variable_that_a_handler_needs_is_set_and_no_other(resources: dict[str, Any]) -> None:
    """`os.environ["X"]` must be set; what is set must be read."""
    for name, function in of_type(resources, "AWS::Serverless::Function").items():
        source = (ROOT / function["CodeUri"] / "app.py").read_text()
        needed = set(re.findall(r'os\.environ\["(\w+)"\]|table\("(\w+)"\)', source))
        needed_names = {a or b for a, b in needed}
        offered = set(re.findall(r'os\.environ\.get\("(\w+)"', source))
        given = set(function.get("Environment", {}).get("Variables", {}))
        assert needed_names <= given, name
        assert given <= needed_names | offered, name


def test_storage_is_encrypted_private_and_speaks_tls_only(resources: dict[str, Any]) -> None:
    for bucket in of_type(resources, "AWS::S3::Bucket").values():
        assert bucket["BucketEncryption"]
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
    for table in of_type(resources, "AWS::DynamoDB::Table").values():
        assert table["SSESpecification"]["SSEEnabled"] is True
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert all(queue["SqsManagedSseEnabled"] for queue in of_type(resources, "AWS::SQS::Queue").values())
    assert all(topic["KmsMasterKeyId"] for topic in of_type(resources, "AWS::SNS::Topic").values())
    for kind, covered in [
        ("AWS::S3::BucketPolicy", "AWS::S3::Bucket"), ("AWS::SQS::QueuePolicy", "AWS::SQS::Queue"),
        ("AWS::SNS::TopicPolicy", "AWS::SNS::Topic"),
    ]:  # fmt: skip
        policies = of_type(resources, kind).values()
        text = str(list(policies))
        assert all(name in text for name in of_type(resources, covered)), covered
        for policy in policies:
            denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
            assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_queue_that_is_worked_on_has_dead_letters_that_raise_an_alarm(
    resources: dict[str, Any],
) -> None:
    queues = of_type(resources, "AWS::SQS::Queue")
    dead = {name for name in queues if name.endswith("DeadLetters")}
    assert all("RedrivePolicy" in queue for name, queue in queues.items() if name not in dead)
    alarms = str(of_type(resources, "AWS::CloudWatch::Alarm"))
    assert all(name in alarms for name in dead)


def test_every_log_group_forgets_and_every_alarm_tells_somebody(resources: dict[str, Any]) -> None:
    assert all("RetentionInDays" in group for group in of_type(resources, "AWS::Logs::LogGroup").values())
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == [{"Ref": "AlertTopic"}], name
        assert len(alarm["AlarmDescription"]) > 20, name


def test_every_skipped_check_has_its_reason() -> None:
    for line in TEMPLATE.read_text().splitlines():
        if "CKV" in line:
            reason = re.search(r'\{id: CKV_AWS_\d+, comment: "(.+)"\}', line)
            assert reason, line
            assert len(reason[1]) > 40


def test_the_sweeper_waits_longer_than_an_execution_may_run(resources: dict[str, Any]) -> None:
    limit = json.loads((ROOT / "statemachine" / "route_delivery.asl.json").read_text())["TimeoutSeconds"]
    assert read_template(TEMPLATE)["Parameters"]["SweepMinutes"]["MinValue"] * 60 > limit


def test_cloudformation_knows_no_anchors() -> None:
    """CloudFormation's YAML has no aliases: `sam deploy` would pass them on."""
    assert not re.search(r"(?m):\s+[&*][A-Za-z]", TEMPLATE.read_text())
