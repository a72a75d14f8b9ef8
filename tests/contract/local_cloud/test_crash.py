"""SIGKILL at random moments under load: whatever was acknowledged is there afterwards.

CRASHES says how often (default 8), CRASH_RESULTS where to write the tally.
"""

from __future__ import annotations

import io
import json
import os
import random
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Client = Callable[[str], Any]

CRASHES = int(os.environ.get("CRASHES", "8"))
SEED = 7
STEP = json.dumps({"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}})


def make_code(text: str) -> bytes:
    """A function's package with a module that says `text`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", f"def handler(event, context):\n    return {text!r}\n")
        archive.writestr("filler", random.Random(text).randbytes(8192))
    return packed.getvalue()


class Writers:
    """Threads that write until the cloud dies, and what was acknowledged to them since the first start."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}  # key -> digest of the body last acknowledged
        self.attempted: dict[str, set[str]] = {}  # key -> digests of the bodies ever sent
        self.deleted: set[str] = set()
        self.items: set[str] = set()
        self.counted = 0  # acknowledged additions to one item's counter
        self.additions = 0  # tried ones
        self.messages: set[str] = set()
        self.published: set[str] = set()
        self.machines: set[str] = set()
        self.executions: set[str] = set()
        self.functions: dict[str, str] = {}
        self.number = 0

    def list(self) -> list[Callable[[Client, str], None]]:
        return [
            self.put_object, self.overwrite, self.delete_object, self.put_item, self.count, self.send,
            self.publish, self.make_machine, self.start, self.make_function,
        ]  # fmt: skip

    def put_object(self, client: Client, name: str) -> None:
        self._put(client, f"new/{name}", random.randbytes(random.randint(0, 20_000)))

    def overwrite(self, client: Client, name: str) -> None:
        self._put(client, "same", random.randbytes(random.randint(1, 200_000)))

    def _put(self, client: Client, key: str, body: bytes) -> None:
        digest = sha256(body).hexdigest()
        self.attempted.setdefault(key, set()).add(digest)
        client("s3").put_object(Bucket="bucket", Key=key, Body=body, Metadata={"digest": digest})
        self.objects[key] = digest

    def delete_object(self, client: Client, name: str) -> None:
        client("s3").put_object(Bucket="bucket", Key=f"short/{name}", Body=b"x")
        client("s3").delete_object(Bucket="bucket", Key=f"short/{name}")
        self.deleted.add(f"short/{name}")

    def put_item(self, client: Client, name: str) -> None:
        client("dynamodb").put_item(TableName="orders", Item={"id": {"S": name}, "value": {"S": name * 5}})
        self.items.add(name)

    def count(self, client: Client, name: str) -> None:
        self.additions += 1
        client("dynamodb").update_item(
            TableName="orders",
            Key={"id": {"S": "counter"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        self.counted += 1

    def send(self, client: Client, name: str) -> None:
        client("sqs").send_message(QueueUrl=self.queue(client, "work"), MessageBody=name)
        self.messages.add(name)

    def publish(self, client: Client, name: str) -> None:
        client("sns").publish(TopicArn="arn:aws:sns:us-east-1:000000000000:topic", Message=name)
        self.published.add(name)

    def make_machine(self, client: Client, name: str) -> None:
        role = "arn:aws:iam::000000000000:role/notebook"
        made = client("stepfunctions").create_state_machine(name=name, definition=STEP, roleArn=role)
        self.machines.add(made["stateMachineArn"])

    def start(self, client: Client, name: str) -> None:
        machine = "arn:aws:states:us-east-1:000000000000:stateMachine:first"
        started = client("stepfunctions").start_execution(stateMachineArn=machine, name=name)
        self.executions.add(started["executionArn"])

    def make_function(self, client: Client, name: str) -> None:
        code = make_code(name)
        made = client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/notebook",
            Code={"ZipFile": code},
        )
        self.functions[name] = made["CodeSha256"]

    @staticmethod
    def queue(client: Client, name: str) -> str:
        return f"{client('sqs').meta.endpoint_url}/000000000000/{name}"

    def run(self, client: Client, seconds: float, kill: Callable[[], None]) -> None:
        """Let every writer work, call `kill` after `seconds`, and wait for them to notice."""
        threads = [
            threading.Thread(target=self._repeat, args=(client, write, index))
            for index, write in enumerate(self.list())
        ]
        for service in ("s3", "dynamodb", "sqs", "sns", "stepfunctions", "lambda"):
            client(service)  # boto3 clients are not made by several threads at once
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        kill()
        for thread in threads:
            thread.join()
        self.number += 1

    def _repeat(self, client: Client, write: Callable[[Client, str], None], index: int) -> None:
        for step in range(1_000_000):
            try:
                write(client, f"r{self.number}-w{index}-{step}")
            except ClientError:
                raise
            except (BotoCoreError, OSError):
                return  # it is dead

    def tally(self) -> dict[str, int]:
        sets = {
            "objects": self.objects, "deletions": self.deleted, "items": self.items,
            "messages": self.messages, "notifications": self.published, "state machines": self.machines,
            "executions": self.executions, "functions": self.functions,
        }  # fmt: skip
        return {**{name: len(found) for name, found in sets.items()}, "counter": self.counted}


def prepare(client: Client) -> None:
    client("s3").create_bucket(Bucket="bucket")
    client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for name in ("work", "notices"):
        client("sqs").create_queue(QueueName=name)
    arn = "arn:aws:sqs:us-east-1:000000000000:notices"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    client("sqs").set_queue_attributes(
        QueueUrl=Writers.queue(client, "notices"), Attributes={"Policy": policy}
    )
    topic = client("sns").create_topic(Name="topic")["TopicArn"]
    raw = {"RawMessageDelivery": "true"}
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    role = "arn:aws:iam::000000000000:role/notebook"
    client("stepfunctions").create_state_machine(name="first", definition=STEP, roleArn=role)


def find_lost(client: Client, written: Writers) -> dict[str, Any]:
    """What was acknowledged and is not there, by kind."""
    lost: dict[str, Any] = {}
    stored = {
        entry["Key"]: entry["Size"]
        for entry in list_all(client("s3"), "list_objects_v2", "Contents", Bucket="bucket")
    }
    lost["objects"] = [key for key in written.objects if key not in stored]
    lost["damaged objects"] = [key for key in written.objects if not is_whole(client, key, written)]
    lost["deletions"] = sorted(written.deleted & stored.keys())
    rows = list_all(client("dynamodb"), "scan", "Items", TableName="orders")
    found = {row["id"]["S"]: row for row in rows}
    lost["items"] = sorted(written.items - found.keys())
    number = int(found["counter"]["n"]["N"]) if "counter" in found else 0
    lost["counter"] = [] if written.counted <= number <= written.additions else [number]
    lost["messages"] = sorted(written.messages - read_queue(client, "work"))
    lost["notifications"] = sorted(written.published - read_queue(client, "notices"))
    states = client("stepfunctions")
    machines = list_all(states, "list_state_machines", "stateMachines")
    lost["state machines"] = sorted(written.machines - {machine["stateMachineArn"] for machine in machines})
    lost["executions"] = [arn for arn in written.executions if not has_failed(states, arn)]
    functions = {
        one["FunctionName"]: one["CodeSha256"]
        for one in list_all(client("lambda"), "list_functions", "Functions")
    }
    lost["functions"] = [name for name, digest in written.functions.items() if functions.get(name) != digest]
    return {kind: names for kind, names in lost.items() if names}


def is_whole(client: Client, key: str, written: Writers) -> bool:
    """The object is one that was sent, whole, with the metadata of that very one."""
    got = client("s3").get_object(Bucket="bucket", Key=key)
    digest = sha256(got["Body"].read()).hexdigest()
    newest = digest == written.objects[key] or key == "same"
    return newest and digest == got["Metadata"]["digest"] and digest in written.attempted[key]


def has_failed(states: Any, arn: str) -> bool:
    found = states.describe_execution(executionArn=arn)
    return (found["status"], found.get("error")) == ("FAILED", "States.ServiceRestart")


def list_all(client: Any, call: str, key: str, **arguments: Any) -> list[Any]:
    pages = client.get_paginator(call).paginate(**arguments)
    return [entry for page in pages for entry in page.get(key, [])]


def read_queue(client: Client, name: str) -> set[str]:
    """The bodies of all messages, which stay in the queue: they become visible again at once."""
    sqs, url = client("sqs"), Writers.queue(client, name)
    bodies: Counter[str] = Counter()
    handles = []
    while found := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600).get(
        "Messages"
    ):
        bodies.update(message["Body"] for message in found)
        handles += [message["ReceiptHandle"] for message in found]
    for handle in handles:
        sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    return set(bodies)


def test_nothing_acknowledged_is_lost_by_kills(make_cloud: Callable[..., Any]) -> None:
    moments = random.Random(SEED)
    own, written = make_cloud(), Writers()
    own.up()
    prepare(own.session())
    for _ in range(CRASHES):
        written.run(own.session(), moments.uniform(0.02, 1.0), own.kill)
        own.up()
        # Of the older rounds everything is looked at once more at the end.
        client = own.session()
        assert client("sts").get_caller_identity()
    lost = find_lost(own.session(), written)
    tally = {"kills": CRASHES, "seed": SEED, "acknowledged": written.tally(), "lost": lost}
    if "CRASH_RESULTS" in os.environ:
        Path(os.environ["CRASH_RESULTS"]).write_text(json.dumps(tally, indent=2) + "\n")
    assert lost == {}
    assert all(written.tally().values()), f"some writer wrote nothing: {tally}"
