"""Read the SAM template and put what it refers to on local files into S3, as `sam package` does.

An archive's bytes depend on the files' names, contents and nothing else: the same sources give the same key,
so an unchanged function is not uploaded, and not deployed, again.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scones.errors import UsageError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip archive can hold
FUNCTION = "AWS::Serverless::Function"
MACHINE = "AWS::Serverless::StateMachine"


@dataclass(frozen=True)
class Asset:
    """A file that the template refers to, under a key made of its content."""

    key: str
    body: bytes


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short intrinsics, `!Ref x` for `{"Ref": "x"}`."""


def _construct_intrinsic(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct_intrinsic)


def read_template(path: Path) -> dict[str, Any]:
    """The template with long intrinsics, as JSON has them. Raises UsageError."""
    try:
        template = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        hint = "Run this in the project's directory, or give --template."
        raise UsageError(f"There is no template {path}.", hint) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    if not isinstance(template, dict) or "Resources" not in template:
        raise UsageError(f"{path} is not a CloudFormation template: it has no Resources.")
    return template


def package_template(path: Path, bucket: str) -> tuple[str, list[Asset]]:
    """The template as JSON with `CodeUri` and `DefinitionUri` pointing into `bucket`, and what belongs there.

    Raises UsageError when a file that the template names does not exist.
    """
    template = read_template(path)
    assets = []
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == FUNCTION and isinstance(properties.get("CodeUri"), str):
            asset = _pack_folder(path.parent / properties["CodeUri"])
            properties["CodeUri"] = {"Bucket": bucket, "Key": asset.key}
        elif resource["Type"] == MACHINE and isinstance(properties.get("DefinitionUri"), str):
            asset = _make_asset(_read_definition(path.parent / properties["DefinitionUri"]), "asl.json")
            properties["DefinitionUri"] = {"Bucket": bucket, "Key": asset.key}
        else:
            continue
        assets.append(asset)
    return json.dumps(template, sort_keys=True), assets


def _pack_folder(folder: Path) -> Asset:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    if not files:
        raise UsageError(f"The template names the function's folder {folder}, which holds no files.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, _read_file(file))
    return _make_asset(buffer.getvalue(), "zip")


def _read_definition(path: Path) -> bytes:
    body = _read_file(path)
    try:
        json.loads(body)
    except ValueError as error:
        raise UsageError(f"The state machine {path} is not JSON: {error}.") from None
    return body


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"The template names {path}, which cannot be read: {error.strerror}.") from error


def _make_asset(body: bytes, ending: str) -> Asset:
    return Asset(f"{hashlib.sha256(body).hexdigest()[:32]}.{ending}", body)
