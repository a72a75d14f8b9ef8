"""The private names of ministack 1.5.33 that the Lambda pool and the engine's repairs stand on."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

# Module -> name -> parameters that are passed, or none for what is no function.
POINTS: dict[str, dict[str, list[str] | None]] = {
    "ministack.app": {"SERVICE_HANDLERS": None, "AUTH": None},
    "ministack.core.iam_evaluator": {
        "_gather_role_policies": ["role_name", "account_id"],
        "evaluate": ["ctx", "policies", "limits"],
    },
    "ministack.services.lambda_svc": {
        "_execute_function": ["func", "event"],
        "_execute_function_with_config_scope": ["func", "event"],
        "_run_with_function_config_scope": ["func_or_config", "callback", "args", "kwargs"],
        "_emit_lambda_metrics": ["function_name", "duration_ms", "error", "throttle"],
        "_inbound_invoke_depth": ["headers"],
        "_invoke_depth": None,
        "_functions": None,
        "_throttle_response": ["reason_code", "msg", "retry_after"],
        "_resolve_layer_zip": ["attachment"],
        "_get_func_record_for_ref": ["function_ref"],
        "_execution_record_for_config": ["func", "config"],
        "invoke_async_with_retry": ["func", "event"],
        "MAX_INVOKE_DEPTH": None,
    },
    "ministack.services.sts": {"register_session": ["access_key", "session"], "_sessions": None},
    "ministack.services.cloudwatch": {
        "record_metric": ["namespace", "metric_name", "value", "unit", "dimensions"]
    },
    "ministack.services.cloudwatch_logs": {
        "_put_log_events": ["data"],
        "_create_log_group": ["data"],
        "_create_log_stream": ["data"],
    },
    "ministack.services.s3": {"_put_object": ["bucket_name", "key", "body", "headers"]},
    "ministack.services.stepfunctions": {
        "_state_machines": None,
        "_executions": None,
        "_map_runs": None,
        "_SFN_WAIT_SCALE": None,
        "_run_execution": ["exec_arn"],
        "_fail_execution": ["execution", "error", "cause"],
        "_start_execution": ["data"],
        "_start_sync_execution": ["data"],
        "_resolve_state_machine_arn": ["arn"],
        "_add_event": ["execution", "event_type", "details"],
        "_emit_execution_status_event": ["execution"],
        "_execute_pass": ["state_def", "raw_input", "ctx"],
        "_execute_task": ["state_def", "raw_input", "execution", "ctx"],
        "_execute_parallel": ["state_def", "raw_input", "execution", "ctx"],
        "_execute_map": ["state_def", "raw_input", "execution", "ctx"],
        "_invoke_resource": ["resource", "input_data"],
        "_invoke_with_callback": ["resource", "input_data", "token", "state_def"],
        "_call_lambda": ["func_ref", "event"],
        "_resolve_lambda_function_ref": ["value", "optimized"],
        "_run_distributed_map": ["state_def", "raw_input", "effective", "iterator", "execution", "ctx"],
        "_read_map_items": ["reader", "effective", "ctx"],
        "_resolve_path": ["path", "data"],
        "_resolve_path_or_ctx": ["path", "data", "ctx"],
        "_parse_jsonpath_tokens": ["path"],
        "_resolve_params_obj": ["template", "data", "ctx"],
        "_apply_result_selector": ["state_def", "data"],
        "_apply_result_path": ["state_def", "original", "result"],
        "_apply_output_path": ["state_def", "data", "ctx"],
        "_evaluate_rule": ["rule", "data", "ctx"],
        "_error_matches": ["error_equals", "error"],
        "_find_matching_retrier": ["retriers", "error", "retry_counts"],
        "_scaled_sleep": ["seconds"],
    },
}


def test_the_version_is_the_one_these_names_are_from() -> None:
    assert version("ministack") == "1.5.33"


@pytest.mark.parametrize("module", POINTS)
def test_private_names_are_there_with_their_parameters(module: str) -> None:
    found = read_names(module)
    for name, parameters in POINTS[module].items():
        assert name in found
        assert parameters is None or found[name] == parameters, name


def read_names(module: str) -> dict[str, list[str] | None]:
    """Top-level names of a module's source: functions with their parameters, variables with None.

    Read from the source, because in this process parts may be installed over the originals.
    """
    spec = find_spec(module)
    assert spec
    assert spec.origin
    names: dict[str, list[str] | None] = {}
    for node in ast.parse(Path(spec.origin).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            every = (
                *node.args.posonlyargs,
                *node.args.args,
                node.args.vararg,
                *node.args.kwonlyargs,
                node.args.kwarg,
            )
            names[node.name] = [argument.arg for argument in every if argument]
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id: None for target in targets if isinstance(target, ast.Name)}
    return names


def test_the_engine_pauses_only_before_the_first_state() -> None:
    from ministack.services import stepfunctions

    source = inspect.getsource(stepfunctions).splitlines()
    direct = [line.strip() for line in source if "time.sleep(" in line]
    assert direct == ["time.sleep(0.15)", "time.sleep(scaled)"]
