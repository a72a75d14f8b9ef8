"""The one table of settings: flag > environment > file > default.

A setting called `threshold` is the environment variable `SCONES_THRESHOLD` and the key `threshold` in
`scones.toml` of the working directory. Unknown keys are refused, so that a typing error never goes unnoticed.
Hyperparameters are not settings: they are saved with the model. Nothing is read when this module is imported.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scones.errors import UsageError

FILE_NAME = "scones.toml"
PREFIX = "SCONES_"


@dataclass(frozen=True)
class Settings:
    """Typed, checked and never changed after loading."""

    target: str = field(
        default="local",
        metadata={"help": "Where to work: the local cloud or AWS.", "choices": ("local", "aws")},
    )
    region: str = field(default="us-east-1", metadata={"help": "AWS region."})
    state_dir: Path = field(
        default=Path(".scones"), metadata={"help": "Where the local cloud and runs keep their state."}
    )
    cache_dir: Path = field(
        default=Path("~/.cache/scones"), metadata={"help": "Where downloaded archives are kept."}
    )
    source: str = field(
        default="auto", metadata={"help": "Data source: auto, cifar100, sample, folder:DIR, a path or a URL."}
    )
    classes: str = field(default="bicycle,motorcycle", metadata={"help": "Classes to keep, in label order."})
    seed: int = field(default=0, metadata={"help": "Seed of every random choice."})
    threshold: float = field(
        default=0.93, metadata={"help": "Least confidence at which a check-in is routed (0 to 1)."}
    )
    stack_name: str = field(
        default="scones", metadata={"help": "Name of the CloudFormation stack of the application."}
    )
    log_level: str = field(
        default="warning", metadata={"help": "Log level.", "choices": ("debug", "info", "warning", "error")}
    )

    @property
    def class_names(self) -> tuple[str, ...]:
        """`classes`, in label order."""
        return tuple(name.strip() for name in self.classes.split(",") if name.strip())


def load_settings(
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Settings:
    """Merge the four layers into one checked table.

    `flags` holds what was given on the command line (None = not given); `environment` defaults to
    `os.environ`, `directory` (where scones.toml may lie) to the working directory. Raises UsageError for
    unknown keys or bad values.
    """
    layers: dict[str, Any] = {}
    layers.update(_read_file((directory or Path.cwd()) / FILE_NAME))
    layers.update(_read_environment(os.environ if environment is None else environment))
    layers.update({key: value for key, value in (flags or {}).items() if value is not None})
    defaults = {entry.name: entry.default for entry in fields(Settings)}
    settings = Settings(**{key: _convert(key, value) for key, value in {**defaults, **layers}.items()})
    if not 0 <= settings.threshold <= 1:
        raise UsageError(f"Setting threshold is {settings.threshold}; it must lie between 0 and 1.")
    return settings


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error
    for key in values:
        _check_known(key, f"{path}")
    return values


def _read_environment(environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in environment.items():
        if name.startswith(PREFIX):
            key = name.removeprefix(PREFIX).lower()
            _check_known(key, f"the environment variable {name}")
            found[key] = value
    return found


def _check_known(key: str, origin: str) -> None:
    names = [entry.name for entry in fields(Settings)]
    if key not in names:
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known settings: {', '.join(names)}."
        raise UsageError(f"Unknown setting {key!r} in {origin}.", hint)


def _convert(key: str, value: Any) -> Any:
    default, choices = _describe(key)
    try:
        converted = _cast(default, value)
    except (TypeError, ValueError):
        raise UsageError(f"Setting {key} is {value!r}; it must be {_name_type(default)}.") from None
    if choices and converted not in choices:
        raise UsageError(f"Setting {key} is {value!r}; it must be one of {', '.join(choices)}.")
    return converted


def _describe(key: str) -> tuple[Any, tuple[str, ...]]:
    entry = next(entry for entry in fields(Settings) if entry.name == key)
    return entry.default, entry.metadata.get("choices", ())


def _cast(default: Any, value: Any) -> Any:
    """`value` (text from the environment, or a typed value from file or flag) as the type of `default`."""
    if isinstance(value, bool):
        raise TypeError("no setting is a truth value")
    if isinstance(default, Path):
        return Path(value).expanduser()
    if isinstance(default, str):
        return str(value)
    if isinstance(default, int) and isinstance(value, float):
        raise TypeError("a fraction is no whole number")
    return type(default)(value)


def _name_type(default: Any) -> str:
    return {int: "a whole number", float: "a number", str: "text"}.get(type(default), "a path")
