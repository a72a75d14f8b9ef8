"""Signature and IAM check of a request for a mounted application, by ministack's own evaluator."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from local_cloud.requests import Message, Receive, Refusal, Request

# Runtime calls name their action by path: POST /endpoints/NAME/invocations.
_INVOKE = re.compile(r"^/endpoints/(?P<name>[^/]+)/(?P<call>invocations[a-z-]*|async-invocations)$")
_INVOKE_ACTIONS: Mapping[str, str] = {
    "invocations": "InvokeEndpoint",
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
}

_VERB = re.compile(r"^(?:Create|Describe|Delete|Update|Stop|Start|Register|Put)(?P<noun>[A-Z].*)$")


async def authorize(request: Request, receive: Receive) -> Receive:
    """Read the body and check who sent it and whether their policies allow it.

    Returns a `receive` that gives the body again. Raises Refusal.
    """
    from ministack.app import _request_account_scope
    from ministack.core import iam_evaluator as iam
    from ministack.core.responses import set_request_account_id, set_request_region

    assert request.credential is not None  # the gateway has checked
    body = await _read(receive)
    set_request_account_id(_request_account_scope(request.access_key))
    set_request_region(request.credential["region"])
    iam.pin_request_origin("127.0.0.1", False)
    raw_path = (request.scope.get("raw_path") or request.path.encode()).decode("latin-1")
    iam.pin_signed_request(request.method, raw_path, dict(request.query), list(request.scope["headers"]))
    iam.pin_signed_body(body)
    action, resource = _name_action(request, body)
    denied = iam.enforce(
        request.access_key, action, request.service, request.credential["region"], resource_arn=resource
    )
    if isinstance(denied, iam.AuthError):
        raise Refusal(403, denied.code, denied.message)
    if denied:
        who = f"User: {denied.principal_arn} is not authorized to perform: {action}"
        status = 400 if request.action else 403
        raise Refusal(status, "AccessDeniedException", f"{who} on resource: {resource}")
    return _replay(body, receive)


def _name_action(request: Request, body: bytes) -> tuple[str, str]:
    """The IAM action and the ARN of the resource it is about, or `*` where it is about none."""
    from ministack.core.responses import get_account_id, get_region

    invoke = _INVOKE.match(request.path)
    if invoke:
        action, name = _INVOKE_ACTIONS[invoke["call"]], f"endpoint/{invoke['name']}"
    else:
        action, name = request.action, _name_resource(request.action, body)
    if request.service != "sagemaker" or not name:
        return f"{request.service}:{action}", "*"
    arn = name if name.startswith("arn:") else f"arn:aws:sagemaker:{get_region()}:{get_account_id()}:{name}"
    return f"sagemaker:{action}", arn.lower()


def _name_resource(action: str, body: bytes) -> str:
    """`training-job/NAME` of CreateTrainingJob with {"TrainingJobName": NAME}; empty when none is named."""
    verb = _VERB.match(action)
    try:
        fields: Any = json.loads(body or b"{}")
    except ValueError:
        return ""
    if not verb or not isinstance(fields, dict):
        return ""
    # UpdateEndpointWeightsAndCapacities names an endpoint: the longest noun that fits is the resource's.
    nouns = [key.removesuffix("Name") for key in fields if key.endswith("Name")]
    noun = max((noun for noun in nouns if verb["noun"].startswith(noun)), key=len, default="")
    name = str(fields.get(f"{noun}Name", ""))
    if not noun or name.startswith("arn:"):
        return name if noun else ""
    return "-".join(re.findall(r"[A-Z][a-z]*", noun)) + f"/{name}"


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, rest: Receive) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await rest()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
