"""ItemBatcher and ResultWriter of a Distributed Map, which ministack ignores.

Source: AWS Step Functions developer guide, "ItemBatcher" and "ResultWriter".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from local_cloud.states.limits import MAX_BYTES

State = dict[str, Any]
RESULT_FIELDS = ("ResultSelector", "ResultPath", "OutputPath")
ITEM_FIELDS = ("ItemReader", "ItemSelector", "Parameters", "ItemBatcher", "ItemsPath")


def close(engine: Any) -> None:
    """Put batching before ministack's Distributed Map, and writing after it."""
    engine._run_distributed_map = _written(engine, _batched(engine, engine._run_distributed_map))


def _batched(engine: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    def run_batched(
        state: State, raw: Any, effective: Any, iterator: State, execution: State, ctx: State
    ) -> Any:
        if "ItemBatcher" not in state:
            return run(state, raw, effective, iterator, execution, ctx)
        items = _select_items(engine, state, effective, ctx)
        batches = list(batch_items(engine, state["ItemBatcher"], items, effective, ctx))
        plain = {name: value for name, value in state.items() if name not in ITEM_FIELDS}
        return run(plain, raw, batches, iterator, execution, ctx)

    return run_batched


def _select_items(engine: Any, state: State, effective: Any, ctx: State) -> list[Any]:
    if "ItemReader" in state:
        items = engine._read_map_items(state["ItemReader"], effective, ctx)
    else:
        items = engine._resolve_path_or_ctx(state.get("ItemsPath", "$"), effective, ctx)
    selector = state.get("ItemSelector") or state.get("Parameters")
    if not selector:
        return list(items)
    return [
        engine._resolve_params_obj(
            selector, effective, {**ctx, "Map": {"Item": {"Index": index, "Value": item}}}
        )
        for index, item in enumerate(items)
    ]


def batch_items(engine: Any, batcher: State, items: list[Any], effective: Any, ctx: State) -> Iterator[State]:
    """Inputs of the child executions: {"BatchInput": …, "Items": […]}, within the batcher's limits."""

    def read(name: str, default: int) -> int:
        path = batcher.get(f"{name}Path")
        return int(engine._resolve_path_or_ctx(path, effective, ctx) if path else batcher.get(name, default))

    most, largest = read("MaxItemsPerBatch", len(items) or 1), read("MaxInputBytesPerBatch", MAX_BYTES)
    shared = {}
    if "BatchInput" in batcher:
        shared = {"BatchInput": engine._resolve_params_obj(batcher["BatchInput"], effective, ctx)}
    batch: list[Any] = []
    for item in items:
        longer = {**shared, "Items": [*batch, item]}
        if batch and (len(batch) == most or len(json.dumps(longer).encode()) > largest):
            yield {**shared, "Items": batch}
            batch = []
        batch.append(item)
    if batch:
        yield {**shared, "Items": batch}


def _written(engine: Any, run: Callable[..., Any]) -> Callable[..., Any]:
    def run_written(
        state: State, raw: Any, effective: Any, iterator: State, execution: State, ctx: State
    ) -> Any:
        writer = state.get("ResultWriter")
        if not writer:
            return run(state, raw, effective, iterator, execution, ctx)
        plain = {name: value for name, value in state.items() if name not in RESULT_FIELDS}
        earlier = set(engine._map_runs)
        try:
            _, following = run(plain, raw, effective, iterator, execution, ctx)
        finally:  # the results of a Map Run that fails are written too
            made = _find_run(engine, execution, earlier)
            result = _write_results(engine, writer, made, effective, ctx) if made else {}
        output = engine._apply_result_path(state, raw, engine._apply_result_selector(state, result))
        return engine._apply_output_path(state, output, ctx), following

    return run_written


def _find_run(engine: Any, execution: State, earlier: set[str]) -> str:
    """The Map Run that this execution has just made; empty when its items could not be read."""
    mine = [
        arn
        for arn, run in list(engine._map_runs.items())
        if arn not in earlier and run["executionArn"] == execution["executionArn"]
    ]
    return str(mine[-1]) if mine else ""


def _write_results(engine: Any, writer: State, run_arn: str, effective: Any, ctx: State) -> State:
    parameters = engine._resolve_params_obj(writer["Parameters"], effective, ctx)
    bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "").strip("/")
    folder = "/".join(filter(None, [prefix, uuid.uuid4().hex]))
    children = [child for child in list(engine._executions.values()) if child.get("mapRunArn") == run_arn]
    files: dict[str, list[State]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status in ("SUCCEEDED", "FAILED"):
        rows = [_describe_child(child) for child in children if child["status"] == status]
        if rows:
            files[status] = [_put(engine, bucket, f"{folder}/{status}_0.json", rows)]
    manifest = {"DestinationBucket": bucket, "MapRunArn": run_arn, "ResultFiles": files}
    written = _put(engine, bucket, f"{folder}/manifest.json", manifest)
    return {"MapRunArn": run_arn, "ResultWriterDetails": {"Bucket": bucket, "Key": written["Key"]}}


def _describe_child(child: State) -> State:
    names = ("executionArn", "input", "name", "output", "startDate", "stateMachineArn", "status", "stopDate")
    fields = {name[0].upper() + name[1:]: child.get(name) for name in (*names, "error", "cause")}
    return {name: value for name, value in fields.items() if value is not None}


def _put(engine: Any, bucket: str, key: str, content: Any) -> State:
    from ministack.services import s3

    body = json.dumps(content).encode()
    status, _, answer = s3._put_object(bucket, key, body, {"content-type": "application/json"})
    if status != 200:
        raise engine._ExecutionError("States.ResultWriterFailed", answer.decode(errors="replace"))
    return {"Key": key, "Size": len(body)}
