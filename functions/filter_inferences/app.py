"""filterInferences: let a sure answer through, and fail loudly on any other."""

from __future__ import annotations

import json
import os
from typing import Any


class LowConfidence(Exception):
    """Nobody should be routed on this answer: a person has to look."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    verdict = judge(
        event["inferences"],
        event.get("ood", 0.0),
        classes=os.environ.get("CLASSES", "bicycle,motorcycle").split(","),
        threshold=float(os.environ.get("THRESHOLD", "0.93")),
        max_ood=float(os.environ.get("MAX_OOD", "0.99")),
    )
    print(json.dumps({"function": "filter_inferences", "execution": event.get("execution"), **verdict}))
    return {**event, **verdict}


def judge(
    inferences: list[float], ood: float, classes: list[str], threshold: float, max_ood: float
) -> dict[str, Any]:
    """The most probable class and its calibrated probability.

    Raises LowConfidence below `threshold` or above the out-of-distribution score `max_ood`, ValueError when
    the probabilities do not belong to `classes`.
    """
    if len(inferences) != len(classes):
        raise ValueError(f"{len(inferences)} probabilities for the {len(classes)} classes {classes}.")
    confidence, vehicle = max(zip(inferences, classes, strict=True))
    # Written so that not-a-number is refused, too.
    if not confidence >= threshold:
        raise LowConfidence(f"Most likely a {vehicle}, but {confidence:.3f} is below {threshold:g}.")
    if not ood <= max_ood:
        raise LowConfidence(f"Unlike any vehicle the model knows: score {ood:.3f} is above {max_ood:g}.")
    return {"vehicle_class": vehicle, "confidence": confidence}
