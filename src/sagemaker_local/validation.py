"""Requests against the constraints in botocore's service models, answered in AWS's words.

botocore's own validator checks types, required members and lower bounds for the caller's sake; the service
also refuses by pattern, enumeration and upper bound, and so does this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sagemaker_local.errors import ApiError, reject

_TYPES: dict[str, tuple[type, ...]] = {
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def validate_request(shape: Shape, request: dict[str, Any]) -> None:
    """Check `request` (parsed JSON) against its input shape.

    Raises ApiError: SerializationException for a wrong JSON type, ValidationException naming every
    constraint that is not met.
    """
    problems = list(_find_problems(shape, request, ""))
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise reject(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


def _find_problems(shape: Shape, value: Any, path: str) -> Iterator[str]:
    _check_type(shape, value, path)
    yield from _check_bounds(shape, value, path)
    if isinstance(shape, StructureShape):
        yield from _check_members(shape, value, path)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from _find_problems(shape.member, item, f"{path}.{index + 1}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _find_problems(shape.key, key, f"{path}.key")
            yield from _find_problems(shape.value, item, f"{path}.{key}.member")


def _check_type(shape: Shape, value: Any, path: str) -> None:
    expected = _TYPES.get(shape.type_name)
    wrong = expected is not None and not isinstance(value, expected)
    if wrong or (isinstance(value, bool) and shape.type_name != "boolean"):
        where = path or "the request"
        raise ApiError("SerializationException", f"{where} must be of type {shape.type_name}.")


def _check_members(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        place = f"{path}.{_lower(name)}" if path else _lower(name)
        if value.get(name) is not None:
            yield from _find_problems(member, value[name], place)
        elif name in shape.required_members:
            yield f"Value null at '{place}' failed to satisfy constraint: Member must not be null"


def _check_bounds(shape: Shape, value: Any, path: str) -> Iterator[str]:
    limits = shape.metadata
    for rule in (_enum_rule, _pattern_rule, _size_rule):
        broken = rule(shape.type_name, limits, value)
        if broken:
            shown = json.dumps(value) if isinstance(value, list | dict) else value
            yield f"Value '{shown}' at '{path}' failed to satisfy constraint: {broken}"


def _enum_rule(kind: str, limits: dict[str, Any], value: Any) -> str:
    options = limits.get("enum") or ()
    allowed = not options or value in options
    return "" if allowed else f"Member must satisfy enum value set: [{', '.join(options)}]"


def _pattern_rule(kind: str, limits: dict[str, Any], value: Any) -> str:
    pattern = limits.get("pattern")
    if kind != "string" or not pattern:
        return ""
    compiled = _compile(pattern)
    bad = compiled and not compiled.fullmatch(value)
    return f"Member must satisfy regular expression pattern: {pattern}" if bad else ""


def _size_rule(kind: str, limits: dict[str, Any], value: Any) -> str:
    if kind in ("integer", "long", "float", "double"):
        size, noun = value, "value"
    elif kind in ("string", "list", "map"):
        size, noun = len(value), "length"
    else:
        return ""
    if "min" in limits and size < limits["min"]:
        return f"Member must have {noun} greater than or equal to {limits['min']}"
    if "max" in limits and size > limits["max"]:
        return f"Member must have {noun} less than or equal to {limits['max']}"
    return ""


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str] | None:
    """A Java pattern of the model; None for the few that Python cannot read (they are not checked)."""
    java = pattern.replace(r"\p{Alnum}", "a-zA-Z0-9").replace(r"\p{L}", r"\w").replace(r"\p{N}", r"\d")
    try:
        return re.compile(java, re.DOTALL)
    except re.error:
        return None


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
