"""Keeps what a report is made of in a folder, so that the page can be made again without AWS.

run.json        summary, facts, classes, instances
checkins.jsonl  one line for each check-in, its image as base64
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from scones.errors import DataError
from scones.files import write_text
from scones.report.checkins import CheckIn
from scones.report.page import Run

RUN, CHECKINS = "run.json", "checkins.jsonl"
VERSION = 2


def save_run(run: Run, folder: Path) -> None:
    """Write both files; run.json, the commit point, last."""
    (folder / RUN).unlink(missing_ok=True)
    write_text(folder / CHECKINS, "".join(json.dumps(_encode(checkin)) + "\n" for checkin in run.checkins))
    head = {
        "version": VERSION,
        "title": run.title,
        "summary": run.summary,
        "facts": [list(fact) for fact in run.facts],
        "classes": list(run.classes),
        "instances": [[time.isoformat(), count] for time, count in run.instances],
    }
    write_text(folder / RUN, json.dumps(head, indent=2) + "\n")


def load_run(folder: Path) -> Run:
    """Read what `save_run` wrote. Raises DataError when there is none, or it is damaged or of old."""
    if not (folder / RUN).is_file():
        raise DataError(f"{folder} holds no finished run.", "Make one: scones run.")
    try:
        head = json.loads((folder / RUN).read_text(encoding="utf-8"))
        if head.get("version") != VERSION:
            raise DataError(f"The run in {folder} was kept by another version.", "Run again: scones run.")
        lines = (folder / CHECKINS).read_text(encoding="utf-8").splitlines()
        return Run(
            summary=head["summary"],
            facts=[(name, value) for name, value in head["facts"]],
            classes=head["classes"],
            checkins=[_decode(json.loads(line)) for line in lines],
            instances=[(datetime.fromisoformat(time), count) for time, count in head["instances"]],
            title=head["title"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"The run in {folder} is damaged: {error!r}.", "Run again: scones run.") from error


def _encode(checkin: CheckIn) -> dict[str, Any]:
    image = None if checkin.image is None else base64.b64encode(checkin.image).decode()
    return {**asdict(checkin), "started": checkin.started.isoformat(), "image": image}


def _decode(values: dict[str, Any]) -> CheckIn:
    known = {field.name: values[field.name] for field in fields(CheckIn)}
    return CheckIn(
        **{
            **known,
            "started": datetime.fromisoformat(values["started"]),
            "probabilities": tuple(values["probabilities"]),
            "image": None if values["image"] is None else base64.b64decode(values["image"]),
        }
    )
