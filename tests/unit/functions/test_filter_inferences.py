"""filterInferences: the edges of the threshold, and every answer that is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Load = Callable[[str], ModuleType]


def test_a_sure_answer_passes_and_the_event_stays(load: Load) -> None:
    event = {"inferences": [0.02, 0.98], "s3_key": "k", "ood": 0.5}
    assert load("filter_inferences").handler(event, None) == {
        **event, "vehicle_class": "motorcycle", "confidence": 0.98,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inferences", "ood", "message"),
    [
        ([0.9299, 0.0701], 0.0, "Most likely a bicycle, but 0.930 is below 0.93"),
        ([0.5, 0.5], 0.0, "below"),
        ([math.nan, 0.1], 0.0, "below"),
        ([0.999, 0.001], 0.995, "Unlike any vehicle"),
        ([0.999, 0.001], math.nan, "Unlike any vehicle"),
    ],
)
def test_an_unsure_answer_fails_by_name(
    load: Load, inferences: list[float], ood: float, message: str
) -> None:
    handler = load("filter_inferences")
    with pytest.raises(handler.LowConfidence, match=message):
        handler.handler({"inferences": inferences, "ood": ood}, None)


def test_the_threshold_itself_passes(load: Load) -> None:
    assert load("filter_inferences").handler({"inferences": [0.93, 0.07]}, None)["confidence"] == 0.93


def test_threshold_and_classes_come_from_the_environment(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRESHOLD", "0.5")
    monkeypatch.setenv("CLASSES", "scooter,tram,cart")
    assert load("filter_inferences").handler({"inferences": [0.2, 0.6, 0.2]}, None)["vehicle_class"] == "tram"


def test_probabilities_of_another_model_are_not_guessed_at(load: Load) -> None:
    with pytest.raises(ValueError, match="3 probabilities for the 2 classes"):
        load("filter_inferences").handler({"inferences": [0.98, 0.01, 0.01]}, None)


def test_exactly_one_of_passing_and_failing_happens() -> None:
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location(
        "filter_app", Path(__file__).parents[3] / "functions" / "filter_inferences" / "app.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    @settings(deadline=None)  # a busy machine is no fault
    @given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
    def check(p: float, ood: float, threshold: float, max_ood: float) -> None:
        sure = max(p, 1 - p) >= threshold and ood <= max_ood
        try:
            verdict = module.judge([p, 1 - p], ood, ["bicycle", "motorcycle"], threshold, max_ood)
        except module.LowConfidence:
            assert not sure
        else:
            assert sure
            assert verdict["confidence"] == max(p, 1 - p)

    check()
