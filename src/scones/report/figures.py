"""The report's figures, as plain Plotly descriptions beside the rows that they are drawn from.

Colours are Okabe and Ito's, which colour-blind readers can tell apart: https://jfly.uni-koeln.de/color/. The
page sets the theme.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.model.calibration import trace_coverage
from scones.report.checkins import INVALID_IMAGE, LOW_CONFIDENCE, ROUTED, CheckIn, count_outcomes
from scones.report.reliability import list_bins

CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
OUTCOME_COLOURS = {ROUTED: "#009E73", LOW_CONFIDENCE: "#E69F00", INVALID_IMAGE: "#56B4E9"}
FAILURE_COLOUR = "#D55E00"
PERCENTILES = (50, 95, 99)
WRONG = "wrong"
MARKS = ({"size": 7, "opacity": 0.85}, {"size": 12, "symbol": "x"})

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """`traces` and `layout` are Plotly's; `summary` says what is seen; `rows` is the data behind it."""

    name: str
    title: str
    summary: str
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    rows: list[Row] = field(default_factory=list)


def draw_confidence_over_time(
    checkins: Sequence[CheckIn], classes: Sequence[str], threshold: float
) -> Figure:
    """Each inference at its time and confidence against the threshold, coloured by outcome."""
    inferred = [checkin for checkin in checkins if checkin.probabilities]
    rows = [_describe(checkin, classes) for checkin in inferred]
    names = [*dict.fromkeys(row["outcome"] for row in rows), WRONG]
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [row["time"] for row in chosen],
            "y": [row["confidence"] for row in chosen],
            "text": [f"{row['key']}<br>{row['outcome']}: {row['predicted']}" for row in chosen],
            "hovertemplate": "%{text}<br>confidence %{y:.3f}<br>%{x}<extra>%{fullData.name}</extra>",
            "marker": {"color": colour_outcome(name), **MARKS[name == WRONG]},
        }
        for name in names
        if (chosen := [row for row in rows if name == (WRONG if row["correct"] is False else row["outcome"])])
    ]
    under = sum(row["confidence"] < threshold for row in rows)
    wrong = sum(row["correct"] is False for row in rows)
    return Figure(
        "confidence-over-time",
        "Confidence over time",
        f"{len(rows)} inferences; {under} lie under the threshold of {threshold:g}; "
        f"{wrong} are wrong and drawn as crosses.",
        traces,
        {
            "xaxis": {"title": {"text": "time of check-in (UTC)"}},
            "yaxis": {
                "title": {"text": "confidence"},
                "range": [min([0.5, *_column(rows, "confidence")]) - 0.02, 1.01],
            },
            "shapes": [_line_at(threshold)],
        },
        rows,
    )


def draw_confidence_histogram(
    checkins: Sequence[CheckIn], classes: Sequence[str], threshold: float
) -> Figure:
    """How confident the model is, for each predicted class, in bins of 0.02."""
    edges = np.linspace(0, 1, 51)
    traces, rows = [], []
    for label, name in enumerate(classes):
        values = [checkin.confidence or 0 for checkin in checkins if checkin.predicted == label]
        counts = np.histogram(values, edges)[0].tolist()
        rows += [
            {"class": name, "from": round(float(low), 2), "to": round(float(high), 2), "count": count}
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
            if count
        ]
        centres = ((edges[:-1] + edges[1:]) / 2).round(2).tolist()
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": centres,
                "y": counts,
                "width": 0.019,
                "marker": {"color": CLASS_COLOURS[label % len(CLASS_COLOURS)]},
                "hovertemplate": "confidence %{x:.2f}: %{y} images<extra>%{fullData.name}</extra>",
            }
        )
    least = min([row["from"] for row in rows], default=0.5)
    return Figure(
        "confidence-histogram",
        "Confidence by predicted class",
        "; ".join(
            f"{name}: {sum(row['count'] for row in rows if row['class'] == name)} images" for name in classes
        )
        + ".",
        traces,
        {
            "barmode": "stack",
            "xaxis": {"title": {"text": "confidence"}, "range": [min(least, 0.5), 1.0]},
            "yaxis": {"title": {"text": "images"}},
            "shapes": [_line_at(threshold, vertical=True)],
        },
        rows,
    )


def draw_outcomes(checkins: Sequence[CheckIn]) -> Figure:
    """How the check-ins ended."""
    counts = count_outcomes(checkins)
    total = max(sum(counts.values()), 1)
    rows = [
        {"outcome": name, "count": count, "share": round(count / total, 4)} for name, count in counts.items()
    ]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": list(counts),
        "x": list(counts.values()),
        "text": [f"{count} ({count / total:.1%})" for count in counts.values()],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": [colour_outcome(name) for name in counts]},
        "hovertemplate": "%{y}: %{x}<extra></extra>",
    }
    return Figure(
        "outcomes",
        "How the check-ins ended",
        ", ".join(f"{name} {count}" for name, count in counts.items()) + ".",
        [trace],
        {
            # Room for the words beside the longest bar.
            "xaxis": {"title": {"text": "check-ins"}, "range": [0, 1.25 * max([1, *counts.values()])]},
            "yaxis": {"autorange": "reversed"},
            "showlegend": False,
        },
        rows,
    )


def draw_reliability(checkins: Sequence[CheckIn]) -> Figure:
    """Accuracy against confidence in ten bins: a calibrated model lies on the diagonal."""
    bins = list_bins(*_judged(checkins))
    total = sum(entry.pictures for entry in bins)
    rows = [{name: round(value, 4) for name, value in vars(entry).items()} for entry in bins]
    points = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "model",
        "x": _column(rows, "confidence"),
        "y": _column(rows, "accuracy"),
        "text": [f"{row['pictures']} images" for row in rows],
        "marker": {"size": [6 + 18 * (row["pictures"] / total) ** 0.5 for row in rows]},
        "line": {"color": CLASS_COLOURS[0]},
        "hovertemplate": "confidence %{x:.3f}<br>accuracy %{y:.3f}<br>%{text}<extra></extra>",
    }
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "name": "perfect",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"dash": "dot", "color": "#888888"},
        "hoverinfo": "skip",
    }
    least = min([0.5, *_column(rows, "confidence")])
    return Figure(
        "reliability",
        "Reliability",
        "Does a confidence of 0.9 mean right nine times in ten? Points on the dotted line mean yes; "
        "under it the model claims too much.",
        [diagonal, points],
        {
            "xaxis": {"title": {"text": "confidence"}, "range": [least - 0.02, 1.02]},
            "yaxis": {"title": {"text": "accuracy"}, "range": [0, 1.05]},
        },
        rows,
    )


def draw_coverage(checkins: Sequence[CheckIn], threshold: float) -> Figure:
    """What share is routed at each threshold, and how often rightly."""
    rows = [
        {name: round(value, 4) for name, value in row.items()} for row in trace_coverage(*_judged(checkins))
    ]
    traces = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": _column(rows, "threshold"),
            "y": _column(rows, name),
            "line": {"color": colour, "shape": "hv"},
            "hovertemplate": f"threshold %{{x:.2f}}: {name} %{{y:.3f}}<extra></extra>",
        }
        for name, colour in (("coverage", CLASS_COLOURS[1]), ("accuracy", CLASS_COLOURS[0]))
    ]
    return Figure(
        "coverage",
        "Coverage and accuracy by threshold",
        "Raising the threshold routes fewer check-ins by machine and gets more of those right.",
        traces,
        {
            "xaxis": {"title": {"text": "threshold"}},
            "yaxis": {
                "title": {"text": "share"},
                "range": [min([0.5, *_column(rows, "coverage")]) - 0.05, 1.02],
            },
            "shapes": [_line_at(threshold, vertical=True)],
        },
        rows,
    )


def draw_latency(checkins: Sequence[CheckIn]) -> Figure:
    """Time in each state, and of the whole execution, at three percentiles (ms)."""
    rows = []
    for state, seconds in _collect_states(checkins).items():
        values = np.percentile(seconds, PERCENTILES) * 1000
        rows.append(
            {
                "state": state,
                "executions": len(seconds),
                **{f"p{p}_ms": round(float(v), 1) for p, v in zip(PERCENTILES, values, strict=True)},
            }
        )
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "name": f"p{percentile}",
            "y": _column(rows, "state"),
            "x": _column(rows, f"p{percentile}_ms"),
            "marker": {"color": colour},
            "hovertemplate": "%{y}: %{x:.0f} ms<extra>%{fullData.name}</extra>",
        }
        for percentile, colour in zip(PERCENTILES, CLASS_COLOURS, strict=False)
    ]
    return Figure(
        "latency",
        "Time by state",
        "Median, 95th and 99th percentile of the time in each state, and from start to end.",
        traces,
        {
            "barmode": "group",
            "xaxis": {"title": {"text": "milliseconds"}},
            "yaxis": {"autorange": "reversed"},
        },
        rows,
    )


def draw_instances(instances: Sequence[tuple[datetime, int]]) -> Figure:
    """Number of the endpoint's instances over time."""
    rows = [{"time": time.isoformat(timespec="seconds"), "instances": count} for time, count in instances]
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": _column(rows, "time"),
        "y": _column(rows, "instances"),
        "line": {"shape": "hv", "color": CLASS_COLOURS[2]},
        "hovertemplate": "%{x}: %{y} instances<extra></extra>",
    }
    most = max(_column(rows, "instances"), default=0)
    return Figure(
        "instances",
        "Endpoint instances over time",
        f"At most {most} instance{'s' if most != 1 else ''} served (CloudWatch, and scaling activities).",
        [trace],
        {
            "yaxis": {"title": {"text": "instances"}, "rangemode": "tozero", "dtick": 1},
            "xaxis": {"title": {"text": "time (UTC)"}},
        },
        rows,
    )


def colour_outcome(outcome: str) -> str:
    """The colour of an outcome; everything that is no known outcome is a failure."""
    return OUTCOME_COLOURS.get(outcome, FAILURE_COLOUR)


def _describe(checkin: CheckIn, classes: Sequence[str]) -> Row:
    return {
        "time": checkin.started.isoformat(timespec="milliseconds"),
        "key": checkin.key,
        "outcome": checkin.outcome,
        "confidence": round(checkin.confidence or 0, 6),
        "predicted": classes[checkin.predicted or 0],
        "truth": "" if checkin.truth is None else classes[checkin.truth],
        "correct": checkin.correct,
        "ood": checkin.ood,
        "execution": checkin.execution,
        "capture": checkin.capture,
    }


def _judged(checkins: Sequence[CheckIn]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities (n, classes) and labels (n,) of the check-ins whose truth is known."""
    chosen = [checkin for checkin in checkins if checkin.correct is not None]
    probabilities = np.array([checkin.probabilities for checkin in chosen], dtype=float)
    labels = np.array([checkin.truth for checkin in chosen], dtype=int)
    return probabilities.reshape(len(chosen), -1 if chosen else 2), labels


def _collect_states(checkins: Sequence[CheckIn]) -> Mapping[str, list[float]]:
    seconds: dict[str, list[float]] = {}
    for checkin in checkins:
        for state, value in checkin.states.items():
            seconds.setdefault(state, []).append(value)
    return {**seconds, "whole execution": [checkin.seconds for checkin in checkins]} if checkins else {}


def _column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def _line_at(value: float, vertical: bool = False) -> dict[str, Any]:
    along, across = ("y", "x") if vertical else ("x", "y")
    return {
        "type": "line",
        f"{along}ref": "paper",
        f"{along}0": 0,
        f"{along}1": 1,
        f"{across}0": value,
        f"{across}1": value,
        "line": {"dash": "dash", "width": 1.5, "color": "#888888"},
    }
