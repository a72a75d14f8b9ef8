"""Lambda's data plane in place of ministack's: whatever executes a Python function comes here."""

from __future__ import annotations

import json
import secrets
import shutil
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

from local_cloud.lambdas import records
from local_cloud.lambdas.environments import Credentials, Environment, Site
from local_cloud.lambdas.functions import Function, read_function
from local_cloud.lambdas.invocations import Invocation, log_lines, read_depth, run
from local_cloud.lambdas.packages import Unpacked, build_runtime, search_path
from local_cloud.lambdas.pool import Limits, Pool, Throttled

MAX_REQUEST = {"RequestResponse": 6 * 1024 * 1024, "Event": 1024 * 1024}  # bytes of an event

Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[..., Awaitable[Answer]]


class Service:
    """The pool and its files, and the functions of ministack that it replaces for good.

    They stay replaced when it is closed: what still arrives while the local cloud stops (a queue's message, a
    state) is throttled, and never runs in ministack's own unbounded executor.
    """

    def __init__(self, place: Path, endpoint_url: str, limits: Limits) -> None:
        shutil.rmtree(place, ignore_errors=True)  # nothing in it outlives a run
        place.mkdir(parents=True, mode=0o700)
        self._place = place
        self._endpoint_url = endpoint_url
        self._python = build_runtime(place / "runtime")
        self._code, self._layers = Unpacked(place / "code"), Unpacked(place / "layers")
        self._pool = Pool(limits)
        self._take_over()

    def close(self) -> None:
        """End all environments and remove the files."""
        self._pool.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _take_over(self) -> None:
        from ministack import app
        from ministack.services import lambda_svc

        execute, count = lambda_svc._execute_function, lambda_svc._emit_lambda_metrics

        def execute_function(record: Mapping[str, Any], event: Any) -> dict[str, Any]:
            if not is_ours(record):
                return dict(execute(record, event))
            result = lambda_svc._run_with_function_config_scope(record, self._execute, record, event)
            return dict(result)

        def emit_lambda_metrics(function_name: str, *values: Any, **more: Any) -> None:
            if not is_ours(lambda_svc._functions.get(function_name) or {}):
                count(function_name, *values, **more)

        lambda_svc._execute_function = execute_function
        lambda_svc._emit_lambda_metrics = emit_lambda_metrics
        lambda_svc._inbound_invoke_depth = _depth_of_request
        app.SERVICE_HANDLERS["lambda"] = _checked(app.SERVICE_HANDLERS["lambda"])

    def _execute(self, record: Mapping[str, Any], event: Any) -> dict[str, Any]:
        """Invoke a function; the result in the form that ministack's executors have."""
        from ministack.services import lambda_svc

        function = read_function(_with_reserved_concurrency(record))
        invocation = Invocation(
            event=json.dumps(event).encode(),  # ASCII: half a surrogate pair has no other form
            arn=(record.get("config") or record)["FunctionArn"],
            depth=max(1, lambda_svc._invoke_depth.get()),
            request_id=str(uuid.uuid4()),
        )
        try:
            return self._invoke(function, invocation, record)
        except Throttled as throttled:
            records.count_throttle(function)
            return dict(lambda_svc._throttle_response(throttled.reason, throttled.message))

    def _invoke(
        self, function: Function, invocation: Invocation, record: Mapping[str, Any]
    ) -> dict[str, Any]:
        nested = invocation.depth > 1
        with self._pool.lease(function, lambda: self._start(function, record), nested=nested) as environment:
            report = run(environment, invocation)
        lines = log_lines(environment, invocation, report)
        records.write_log(function.log_group, environment.log_stream, lines)
        records.count_invocation(function, report.duration, report.is_error)
        failure = {"error": True, "function_error": "Unhandled"} if report.is_error else {}
        return {"body": _read_payload(report.payload), "log": "\n".join(lines), **failure}

    def _start(self, function: Function, record: Mapping[str, Any]) -> Environment:
        from ministack.services import lambda_svc

        code = self._code.directory(record["code_zip"])
        archives = [lambda_svc._resolve_layer_zip(arn) for arn in function.layers]
        layers = [self._layers.directory(archive) for archive in archives if archive]
        path = tuple(search_path(code, layers))
        site = Site(self._python, path, tuple(layers), self._endpoint_url, self._place / "environments")
        credentials = grant_credentials(function)
        return Environment(function, site, credentials, lambda: revoke_credentials(credentials))


def is_ours(record: Mapping[str, Any]) -> bool:
    """Whether a function runs in the pool: Python, from a zip archive, and not durable."""
    config = record.get("config") or record
    packaged = config.get("PackageType", "Zip") == "Zip" and bool(record.get("code_zip"))
    durable = (config.get("DurableConfig") or {}).get("Enabled")
    return packaged and str(config.get("Runtime", "")).startswith("python") and not durable


def _read_payload(payload: bytes) -> Any:
    """The result as a value; a string stays JSON, because ministack would decode its content once more."""
    value = json.loads(payload or b"null")
    return payload if isinstance(value, str) else value


def grant_credentials(function: Function) -> Credentials:
    """Random credentials that stand for a session of the function's role."""
    from ministack.services import sts

    granted = Credentials(f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(64))
    role = function.role.rpartition("/")[2]
    session = {
        "Arn": f"arn:aws:sts::{function.account}:assumed-role/{role}/{function.name}",
        "UserId": f"{role}:{function.name}",
        "SecretAccessKey": granted.secret_key,
        "SessionToken": granted.token,
    }
    sts.register_session(granted.access_key, session)
    return granted


def revoke_credentials(credentials: Credentials) -> None:
    """End the session that `grant_credentials` has begun."""
    from ministack.services import sts

    sts._sessions.pop(credentials.access_key, None)


def _with_reserved_concurrency(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A version's record does not have it: it belongs to the function as a whole."""
    from ministack.services import lambda_svc

    base = lambda_svc._functions.get((record.get("config") or record)["FunctionName"]) or {}
    return {**record, "concurrency": base.get("concurrency")}


def _depth_of_request(headers: Mapping[str, str]) -> int:
    return read_depth(headers.get("x-amzn-trace-id", ""))


def _checked(handle: Handler) -> Handler:
    """Lambda's API, refusing events that are too large or no JSON, which ministack takes."""

    async def handle_checked(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Answer:
        from ministack.core.responses import error_response_json

        if method == "POST" and path.rstrip("/").endswith("/invocations"):
            limit = MAX_REQUEST.get(headers.get("x-amz-invocation-type", ""), MAX_REQUEST["RequestResponse"])
            if len(body) > limit:
                message = (
                    f"{len(body)} byte payload is too large for the Invoke operation (limit {limit} bytes)"
                )
                return cast(Answer, error_response_json("RequestTooLargeException", message, 413))
            try:
                json.loads(body or b"{}")
            except ValueError as error:
                message = f"Could not parse request body into json: {error}"
                return cast(Answer, error_response_json("InvalidRequestContentException", message, 400))
        return await handle(method, path, headers, body, query)

    return handle_checked
