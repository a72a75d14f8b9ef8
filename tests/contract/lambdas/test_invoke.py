"""Invoking functions through the API: answers, and errors as AWS words them."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud

RAISES = """
class NoLoadingBay(Exception): pass
def handler(event, context):
    raise NoLoadingBay("none for " + event["vehicle"])
"""


def invoke(cloud: Cloud, name: str, event: Any = None, **more: Any) -> tuple[Any, dict[str, Any]]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return json.loads(answer["Payload"].read() or b"null"), answer


def test_answers_with_what_the_handler_returns(cloud: Cloud) -> None:
    cloud.create_function("echo", "def handler(event, context): return {'got': event, 'price': 1.50}")
    payload, answer = invoke(cloud, "echo", {"name": "Zoë"})
    assert payload == {"got": {"name": "Zoë"}, "price": 1.5}
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer


def test_an_exception_is_reported_with_its_class_message_and_trace(cloud: Cloud) -> None:
    cloud.create_function("raises", RAISES)
    payload, answer = invoke(cloud, "raises", {"vehicle": "tram"})
    assert answer["FunctionError"] == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("NoLoadingBay", "none for tram")
    assert re.search(r'File ".*app.py", line 4, in handler\n', payload["stackTrace"][0])
    assert payload["requestId"] == answer["ResponseMetadata"].get("RequestId") or payload["requestId"]


@pytest.mark.parametrize(
    ("source", "handler", "kind", "message"),
    [
        ("import nothing_of_the_kind", "app.handler", "Runtime.ImportModuleError", "Unable to import module"),
        ("def handler(:", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module"),
        ("", "app.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'app'"),
        ("", "app", "Runtime.MalformedHandlerName", "Bad handler 'app'"),
        ("raise KeyError('BUCKET')", "app.handler", "KeyError", "'BUCKET'"),
    ],
)  # fmt: skip
def test_a_function_that_cannot_start_says_why(
    cloud: Cloud, source: str, handler: str, kind: str, message: str
) -> None:
    cloud.create_function("broken", source, Handler=handler)
    for _ in range(2):  # the next invocation tries again
        payload, answer = invoke(cloud, "broken")
        assert answer["FunctionError"] == "Unhandled"
        assert payload["errorType"] == kind
        assert message in payload["errorMessage"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import os; os._exit(3)", "Runtime exited with error: exit status 3"),
        ("import os; os._exit(0)", "Runtime exited without providing a reason"),
        ("import os; os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_process_that_ends_is_an_exit_error(cloud: Cloud, body: str, reason: str) -> None:
    cloud.create_function("ends", f"def handler(event, context):\n  {body}")
    payload, answer = invoke(cloud, "ends")
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith(f"Error: {reason}")


def test_a_process_that_ends_while_it_starts_is_an_exit_error(cloud: Cloud) -> None:
    cloud.create_function("ends-early", "import os; os._exit(7)")
    payload, _ = invoke(cloud, "ends-early")
    assert payload["errorType"] == "Runtime.ExitError"


def test_a_handler_out_of_time_is_killed(cloud: Cloud) -> None:
    source = "import time\ndef handler(event, context):\n  time.sleep(event)\n  return context.aws_request_id"
    cloud.create_function("sleeps", source, Timeout=1)
    payload, answer = invoke(cloud, "sleeps", 30)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Sandbox.Timedout"
    assert re.fullmatch(r"RequestId: \S+ Error: Task timed out after 1.00 seconds", payload["errorMessage"])
    assert re.fullmatch(r"[0-9a-f-]{36}", invoke(cloud, "sleeps", 0)[0]), "the function works again"


def test_a_handler_beyond_its_memory_is_killed(cloud: Cloud) -> None:
    cloud.create_function("grows", "def handler(event, context): return len(bytearray(event * 2**20))")
    assert invoke(cloud, "grows", 64)[0] == 64 * 2**20
    payload, answer = invoke(cloud, "grows", 300, LogType="Tail")
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith("signal: killed")
    assert "Error Type: Runtime.OutOfMemory" in base64.b64decode(answer["LogResult"]).decode()
    cloud.client("lambda").update_function_configuration(FunctionName="grows", MemorySize=512)
    assert invoke(cloud, "grows", 300)[0] == 300 * 2**20


def test_payloads_end_at_6_mb(cloud: Cloud) -> None:
    cloud.create_function("big", "def handler(event, context): return 'x' * event if event else None")
    assert len(invoke(cloud, "big", 6_000_000)[0]) == 6_000_000
    payload, answer = invoke(cloud, "big", 7_000_000)
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert invoke(cloud, "big", 1)[0] == "x"
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        invoke(cloud, "big", "x" * 7_000_000)
    cloud.create_function("length", "def handler(event, context): return len(event)")
    assert invoke(cloud, "length", "x" * 6_000_000)[0] == 6_000_000


def test_asynchronous_events_end_at_1_mb(cloud: Cloud) -> None:
    cloud.create_function("nothing", "def handler(event, context): pass")
    assert invoke(cloud, "nothing", "x" * 1_000_000, InvocationType="Event")[1]["StatusCode"] == 202
    with pytest.raises(ClientError, match="RequestTooLargeException"):
        invoke(cloud, "nothing", "x" * 1_100_000, InvocationType="Event")


def test_an_event_is_json(cloud: Cloud) -> None:
    cloud.create_function("echo", "def handler(event, context): return event")
    with pytest.raises(ClientError, match="InvalidRequestContentException"):
        cloud.client("lambda").invoke(FunctionName="echo", Payload=b"{not json")


def test_an_event_may_hold_half_a_surrogate_pair(cloud: Cloud) -> None:
    cloud.create_function("point", "def handler(event, context): return ord(event)")
    answer = cloud.client("lambda").invoke(FunctionName="point", Payload=b'"\\ud83d"')
    assert json.loads(answer["Payload"].read()) == 0xD83D


def test_a_result_that_is_no_json_is_a_marshal_error(cloud: Cloud) -> None:
    cloud.create_function("set", "def handler(event, context): return {1, 2}")
    payload, _ = invoke(cloud, "set")
    assert payload["errorType"] == "Runtime.MarshalError"


def test_a_long_message_passes_in_the_header_of_the_error(cloud: Cloud) -> None:
    cloud.create_function("long", "def handler(event, context): raise ValueError('x' * 300_000)")
    payload, _ = invoke(cloud, "long")
    assert payload["errorMessage"] == "x" * 300_000


def test_output_beyond_the_pipe_does_not_block(cloud: Cloud) -> None:
    source = "def handler(event, context):\n  for n in range(event): print(f'line {n:08}' + '.' * 87)"
    cloud.create_function("prints", source)
    _, answer = invoke(cloud, "prints", 5_000, LogType="Tail")  # 500 kB
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert len(tail) == 4096
    assert "line 00004999" in tail
    _, answer = invoke(cloud, "prints", 45_000, LogType="Tail")  # cut at 4 MiB
    assert "REPORT RequestId:" in base64.b64decode(answer["LogResult"]).decode()


def test_output_without_end_does_not_stop_the_clock(cloud: Cloud) -> None:
    cloud.create_function(
        "chatters", "def handler(event, context):\n  while True: print('x' * 4000)", Timeout=1
    )
    assert invoke(cloud, "chatters")[0]["errorType"] == "Sandbox.Timedout"


def test_versions_and_aliases_run_their_own_code(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    cloud.create_function(
        "versioned", "def handler(e, c): return [1, c.function_version, c.invoked_function_arn]"
    )
    client.publish_version(FunctionName="versioned")
    client.create_alias(FunctionName="versioned", Name="live", FunctionVersion="1")
    from .conftest import archive

    client.update_function_code(
        FunctionName="versioned",
        ZipFile=archive({"app.py": "def handler(e, c): return [2, c.function_version]"}),
    )
    first = invoke(cloud, "versioned", Qualifier="live")[0]
    assert first[:2] == [1, "1"]
    assert first[2].endswith(":function:versioned:live")
    assert invoke(cloud, "versioned")[0] == [2, "$LATEST"]


def test_an_asynchronous_invocation_runs_later(
    cloud: Cloud, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("events") / "event"
    cloud.create_function("later", f"def handler(event, context): open({str(target)!r}, 'w').write(event)")
    assert invoke(cloud, "later", "hello", InvocationType="Event")[1]["StatusCode"] == 202
    wait_until(lambda: target.exists() and target.read_text() == "hello")


def wait_until(is_true: Any, seconds: float = 10) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it has not happened in time"
        time.sleep(0.02)
