"""The report: one self-contained HTML page, made from a run's summary and its check-ins."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from scones import __version__
from scones.files import write_text
from scones.report import figures
from scones.report.checkins import CheckIn, select_uncertain, select_wrong
from scones.report.confusion import count_cells
from scones.report.cost import estimate_cost

# Pictures on the page are no larger than this (pixels), so that a page of phone photos stays small.
THUMBNAIL = 192
# Worse than these, a number is shown as bad, whatever the run's own gate was.
LEAST_ACCURACY, LEAST_COVERAGE, MOST_ECE = 0.9, 0.5, 0.1


@dataclass(frozen=True)
class Run:
    """What a report is made of.

    `summary` is the very object that `scones run --json` prints; `facts` are (name, value) pairs of what ran;
    `instances` are (time, number of instances) of the endpoint.
    """

    summary: dict[str, Any]
    facts: Sequence[tuple[str, str]]
    classes: Sequence[str]
    checkins: Sequence[CheckIn]
    instances: Sequence[tuple[datetime, int]] = ()
    title: str = "Scones Unlimited: vehicle routing"

    @property
    def threshold(self) -> float:
        return float(self.summary["model"]["threshold"])


@dataclass(frozen=True)
class Verdict:
    """The sentence at the head of the page."""

    title: str
    reason: str
    good: bool = True


@dataclass(frozen=True)
class Tile:
    """One number at the head of the page."""

    name: str
    value: str
    detail: str
    good: bool = True


def write_report(run: Run, path: Path) -> Path:
    """Write the page to `path`, whole or not at all, and return the path."""
    write_text(path, render_report(run))
    return path


def render_report(run: Run) -> str:
    """The page as HTML."""
    # Imported here: the core does not need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("scones.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    drawn = draw_figures(run)
    return environment.get_template("page.html.j2").render(
        title=run.title,
        created=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        verdict=judge(run.summary),
        tiles=list_tiles(run.summary),
        facts=run.facts,
        figures=[{**vars(figure), "csv": _link_csv(figure.rows)} for figure in drawn],
        plots=[{"name": f.name, "traces": f.traces, "layout": f.layout} for f in drawn],
        confusion=_show_confusion(run),
        galleries=[_show_wrong(run), _show_uncertain(run)],
        cost=estimate_cost(run.checkins),
        summary=run.summary,
        summary_link=_link(json.dumps(run.summary, indent=2).encode(), "application/json"),
        version=f"scones {__version__}",
        plotly=resources.files("plotly").joinpath("package_data/plotly.min.js").read_text(encoding="utf-8"),
    )


def draw_figures(run: Run) -> list[figures.Figure]:
    """Every figure of the page, in its order."""
    return [
        figures.draw_confidence_over_time(run.checkins, run.classes, run.threshold),
        figures.draw_confidence_histogram(run.checkins, run.classes, run.threshold),
        figures.draw_outcomes(run.checkins),
        figures.draw_reliability(run.checkins),
        figures.draw_coverage(run.checkins, run.threshold),
        figures.draw_latency(run.checkins),
        figures.draw_instances(run.instances),
    ]


def judge(summary: dict[str, Any]) -> Verdict:
    """What a reader must know first. A gate that was lowered does not make a bad model good."""
    gate, accuracy = summary["gate"], summary["model"]["test_accuracy"]
    if not gate["passed"]:
        return Verdict("The model is below its gate.", gate["reason"], good=False)
    if accuracy < LEAST_ACCURACY:
        title = f"The model is bad: the gate was lowered to {gate['least_accuracy']:.0%}."
        return Verdict(title, f"{gate['reason']} Usually it is {LEAST_ACCURACY:.0%}.", good=False)
    if failed := summary["workflow"]["failed"]:
        return Verdict(f"{failed:,} executions failed.", f"The model itself is good. {gate['reason']}", False)
    return Verdict("The model meets its gate.", gate["reason"])


def list_tiles(summary: dict[str, Any]) -> list[Tile]:
    """The numbers at the head, each straight from the summary."""
    model, workflow = summary["model"], summary["workflow"]
    low, high = model["ci95"]
    floor = summary["gate"]["least_accuracy"]
    told = summary["captured_records"]
    return [
        Tile(
            "Test accuracy",
            f"{model['test_accuracy']:.1%}",
            f"95% interval {low:.1%} to {high:.1%}; gate {floor:.1%}",
            model["test_accuracy"] >= max(floor, LEAST_ACCURACY),
        ),
        Tile("Coverage", f"{model['coverage']:.1%}", f"at a threshold of {model['threshold']:g}",
             model["coverage"] >= LEAST_COVERAGE),
        _show_selective(model),
        Tile("Calibration error", f"{model['ece']:.3f}", "expected; 0 is best", model["ece"] <= MOST_ECE),
        Tile("Check-ins", f"{workflow['executions']:,}",
             f"{workflow['routed']:,} routed, {workflow['low_confidence']:,} to a person"),
        Tile("Failed", f"{workflow['failed']:,}", "executions without an outcome", workflow["failed"] == 0),
        _show_latency(summary["endpoint"]),
        Tile("Captured", f"{told:,}", "records of data capture",
             told >= workflow["routed"] + workflow["low_confidence"]),
    ]  # fmt: skip


def _show_selective(model: dict[str, Any]) -> Tile:
    share = model["selective_accuracy"]
    if share is None:
        return Tile("Accuracy when sure", "none", "it was never sure", good=False)
    return Tile("Accuracy when sure", f"{share:.1%}", "of those above the threshold", share >= LEAST_ACCURACY)


def _show_latency(endpoint: dict[str, Any]) -> Tile:
    if endpoint["p50_ms"] is None:
        return Tile("Endpoint", "unknown", "CloudWatch has no latency of it yet")
    return Tile(
        "Endpoint",
        f"{endpoint['p95_ms']:.0f} ms",
        f"95% of answers; half within {endpoint['p50_ms']:.0f} ms "
        f"(CloudWatch; SageMaker adds {endpoint['overhead_p50_ms']:.1f} ms)",
    )


def _show_confusion(run: Run) -> dict[str, Any]:
    cells = count_cells(run.checkins, run.classes)
    flat = [cell for row in cells for cell in row]
    wrong, total = sum(cell.count for cell in flat if not cell.right), sum(cell.count for cell in flat)
    rows = [{"truth": cell.truth, "predicted": cell.predicted, "count": cell.count} for cell in flat]
    return {
        "classes": run.classes,
        "cells": [
            [(cell, [_show(each, run.classes) for each in cell.examples]) for cell in row] for row in cells
        ],
        "summary": f"{wrong:,} of {total:,} images with a known class were taken for another.",
        "csv": _link_csv(rows),
    }


def _show_wrong(run: Run) -> dict[str, Any]:
    wrong = select_wrong(run.checkins)
    return {
        "name": "wrong",
        "title": f"Wrong images ({len(wrong)})",
        "summary": "Most confident first." if wrong else "None of the images with a known class was wrong.",
        "pictures": [_show(checkin, run.classes) for checkin in wrong[:60]],
    }


def _show_uncertain(run: Run) -> dict[str, Any]:
    return {
        "name": "uncertain",
        "title": "The twenty least certain",
        "summary": "What a person should look at first.",
        "pictures": [_show(checkin, run.classes) for checkin in select_uncertain(run.checkins)],
    }


def _show(checkin: CheckIn, classes: Sequence[str]) -> dict[str, Any]:
    truth = classes[checkin.truth] if checkin.truth is not None else "a picture"
    taken = f"{classes[checkin.predicted or 0]} {checkin.confidence or 0:.3f}"
    return {
        **asdict(checkin),
        "source": _link_thumbnail(checkin.image),
        "wrong": checkin.correct is False,
        "name": checkin.key.rpartition("/")[2],
        "verdict": taken + (f", is {truth}" if checkin.correct is False else ""),
        "alt": f"{truth} taken for {taken}",
    }


def _link_thumbnail(image: bytes | None) -> str:
    """The picture as a data URI, or nothing where it cannot be shown."""
    if image is None:
        return ""
    try:
        picture = Image.open(io.BytesIO(image)).convert("RGB")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return ""
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if max(picture.size) <= 64 else "JPEG")
    return _link(buffer.getvalue(), "image/png" if max(picture.size) <= 64 else "image/jpeg")


def _link_csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return _link(text.getvalue().encode(), "text/csv")


def _link(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
