"""Scalable targets, policies and activities: kept in one file, replaced as a whole at every change."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

MOST_ACTIVITIES = 500


@dataclass
class Registry:
    """AWS-shaped dicts by name; times are seconds since 1970."""

    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    activities: list[dict[str, Any]] = field(default_factory=list)  # the newest first


def load_registry(path: Path) -> Registry:
    """What the file holds, or nothing when there is none. Raises ValueError for a damaged one."""
    try:
        content = json.loads(path.read_text())
        return Registry(**content)
    except FileNotFoundError:
        return Registry()
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore or remove it.") from error


def save_registry(registry: Registry, path: Path) -> None:
    """Replace the file; a crash leaves the old one or the new one."""
    del registry.activities[MOST_ACTIVITIES:]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{threading.get_ident()}.partial")
    with partial.open("w") as stream:
        json.dump(asdict(registry), stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)
