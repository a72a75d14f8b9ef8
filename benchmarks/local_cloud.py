"""How fast the local cloud runs Lambda functions and state machines, against stock ministack and moto server.

    python benchmarks/local_cloud.py [--quick] [--only scones]      writes benchmarks/local_cloud.json

Each server runs alone, one after the other, on the same machine and in the same run; the load comes from
boto3 in this process. moto without Docker runs no function: it returns the event, so its numbers are those of
the state machine interpreter alone, and to its advantage. The local cloud checks signatures and IAM and keeps
everything on disk; the other two do neither.

The other two run a fifth of the executions and items: they are slower. Where other programs want the cores
too (`load_before`), executions per CPU second compare better than executions per second.

Measured per server:
    invoke           a warm function, one call after the other: milliseconds at the client, p50 and p95
    chain            a Standard state machine of three functions, one execution after another:
                     milliseconds from StartExecution until DescribeExecution, asked every 5 ms, has it
    load             executions of that state machine with 32 in flight: executions/s, CPU seconds and peak
                     memory of the server with all its processes, and how many were lost
    distributed_map  one execution over 1,000 items, a function per item: seconds, lost items
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import time
import zipfile
from collections import deque
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from servers import Meter, Server, serve_ministack, serve_moto, serve_scones

RESULTS = Path(__file__).with_suffix(".json")
IN_FLIGHT = 32
PEER_SHARE = 5
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {
    "Service": ["lambda.amazonaws.com", "states.amazonaws.com"]}, "Action": "sts:AssumeRole"}]}  # fmt: skip

INVOKE = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}]}  # fmt: skip

SILENT = "def handler(event, context): return {**event, 'count': event.get('count', 0) + 1}"
PRINTING = """
def handler(event, context):
    for number in range(20): print("line", number, event)
    return event
"""


def measure(server: Server, executions: int, calls: int, items: int) -> dict[str, Any]:
    """All measurements of one server."""
    role = _create_role(server)
    for name, source in {"silent": SILENT, "printing": PRINTING, **dict.fromkeys("abc", SILENT)}.items():
        _create_function(server, role, name, source)
    chain = _create_machine(server, role, "chain", chain_of(["a", "b", "c"]))
    each = _create_machine(server, role, "map", distributed_map())
    return {
        "invoke_silent": measure_invoke(server, "silent", calls),
        "invoke_printing": measure_invoke(server, "printing", calls),
        "chain": measure_chain(server, chain, max(5, calls // 10)),
        "load": measure_load(server, chain, executions),
        "distributed_map": measure_map(server, each, items),
    }


def measure_invoke(server: Server, name: str, calls: int) -> dict[str, float]:
    client = server.client("lambda")
    times = []
    for number in range(calls + 20):
        began = time.perf_counter()
        answer = client.invoke(FunctionName=name, Payload=json.dumps({"count": number}))
        value = json.loads(answer["Payload"].read())
        times.append((time.perf_counter() - began) * 1000)
        assert "FunctionError" not in answer
        assert value["count"] == number + (name == "silent" and server.runs_code)
    return {"n": calls, **percentiles(times[20:])}


def measure_chain(server: Server, machine: str, executions: int) -> dict[str, float]:
    client = server.client("stepfunctions")
    times = []
    for number in range(executions + 3):
        began = time.perf_counter()
        arn = client.start_execution(stateMachineArn=machine, name=f"c-{number}", input="{}")["executionArn"]
        while (found := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.005)
        times.append((time.perf_counter() - began) * 1000)
        assert found["status"] == "SUCCEEDED", found
        assert not server.runs_code or json.loads(found["output"]) == {"count": 3}
    return {"n": executions, **percentiles(times[3:])}


def measure_load(server: Server, machine: str, executions: int) -> dict[str, float]:
    client = server.client("stepfunctions")
    before = _count(client, machine, "SUCCEEDED")
    with Meter(server.pids) as meter:
        began = time.perf_counter()
        _keep_in_flight(client, machine, executions)
        seconds = time.perf_counter() - began
    return {
        "n": executions,
        "in_flight": IN_FLIGHT,
        "seconds": round(seconds, 2),
        "executions_per_second": round(executions / seconds, 1),
        "cpu_seconds": round(meter.cpu_seconds, 1),
        "executions_per_cpu_second": round(executions / meter.cpu_seconds, 1),
        "peak_memory_mb": round(meter.peak_memory_mb, 1),
        "peak_processes": meter.peak_processes,
        "lost": executions - (_count(client, machine, "SUCCEEDED") - before),
    }


def _keep_in_flight(client: Any, machine: str, executions: int) -> None:
    """Run executions with IN_FLIGHT at once; the oldest is asked for, so that asking costs little."""
    running: deque[str] = deque()
    started = 0
    while started < executions or running:
        while running and client.describe_execution(executionArn=running[0])["status"] != "RUNNING":
            running.popleft()
        while started < executions and len(running) < IN_FLIGHT:
            start = client.start_execution(stateMachineArn=machine, name=f"l-{started}", input="{}")
            running.append(start["executionArn"])
            started += 1
        time.sleep(0.01)


def measure_map(server: Server, machine: str, items: int) -> dict[str, float]:
    client = server.client("stepfunctions")
    value = json.dumps({"items": [{"count": number} for number in range(items)]})
    with Meter(server.pids) as meter:
        began = time.perf_counter()
        arn = client.start_execution(stateMachineArn=machine, name="m", input=value)["executionArn"]
        while (found := client.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.05)
        seconds = time.perf_counter() - began
    assert found["status"] == "SUCCEEDED", found
    results = json.loads(found["output"])
    expected = [{"count": number + server.runs_code} for number in range(items)]
    return {
        "n": items,
        "seconds": round(seconds, 2),
        "items_per_second": round(items / seconds, 1),
        "cpu_seconds": round(meter.cpu_seconds, 1),
        "peak_memory_mb": round(meter.peak_memory_mb, 1),
        "lost": items - sum(result == wanted for result, wanted in zip(results, expected, strict=False)),
    }


def _count(client: Any, machine: str, status: str) -> int:
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=machine, statusFilter=status)
    return sum(len(page["executions"]) for page in pages)


def chain_of(functions: list[str]) -> dict[str, Any]:
    """A state machine that calls functions one after the other."""
    states: dict[str, Any] = {name: _task(name) for name in functions}
    for name, following in pairwise(functions):
        states[name]["Next"] = following
    states[functions[-1]]["End"] = True
    return {"StartAt": functions[0], "States": states}


def distributed_map() -> dict[str, Any]:
    """A state machine that calls a function for each of the input's items."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **chain_of(["a"])}
    each = {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": IN_FLIGHT, "ItemProcessor": processor}
    return {"StartAt": "Each", "States": {"Each": {**each, "End": True}}}


def _task(function: str) -> dict[str, Any]:
    parameters = {"FunctionName": function, "Payload.$": "$"}
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters}
    return {**task, "OutputPath": "$.Payload"}


def _create_role(server: Server) -> str:
    iam = server.client("iam")
    created = iam.create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="bench", PolicyName="invoke", PolicyDocument=json.dumps(INVOKE))
    return str(created["Role"]["Arn"])


def _create_function(server: Server, role: str, name: str, source: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("app.py", source)
    client = server.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="app.handler",
        Role=role,
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})


def _create_machine(server: Server, role: str, name: str, definition: dict[str, Any]) -> str:
    created = server.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=role
    )
    return str(created["stateMachineArn"])


def percentiles(times: list[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": round(cuts[49], 2), "p95_ms": round(cuts[94], 2)}


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    memory = [line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory[0]) / 1024**2, 1) if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def compare(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """How many times better the local cloud is than each other server."""

    def ratios(own: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
        quicker = {f"{name}_p50": (other[name], own[name]) for name in LATENCIES}
        found = {name: slow["p50_ms"] / quick["p50_ms"] for name, (slow, quick) in quicker.items()}
        for group, name in RATES:
            found[name] = own[group][name] / other[group][name]
        return {name: round(value, 2) for name, value in found.items()}

    return {name: ratios(results["scones"], other) for name, other in results.items() if name != "scones"}


LATENCIES = ("invoke_silent", "invoke_printing", "chain")
RATES = (
    ("load", "executions_per_second"),
    ("load", "executions_per_cpu_second"),
    ("distributed_map", "items_per_second"),
)


def main() -> None:
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description="Measure the local cloud against stock ministack and moto.")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything; prints, writes nothing")
    parser.add_argument(
        "--only", choices=["scones", "ministack", "moto"], help="one server; prints, writes nothing"
    )
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    document: dict[str, Any] = {
        "machine": describe_machine(),
        "versions": {
            name: version(name) for name in ("ministack", "moto", "awslambdaric", "boto3", "uvicorn")
        },
        "results": {},
    }
    for name, serve in {"scones": serve_scones, "ministack": serve_ministack, "moto": serve_moto}.items():
        if options.only in (None, name):
            with serve() as server:
                share = scale if name == "scones" else scale * PEER_SHARE
                document["results"][name] = measure(server, 2000 // share, 500 // scale, 1000 // share)
            print(json.dumps({name: document["results"][name]}), flush=True)
    if options.only is None:
        document["times_better"] = compare(document["results"])
        print(json.dumps(document["times_better"], indent=1))
    if options.only is None and not options.quick:
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
