"""Numbers in the documentation are those of the committed benchmark, and names those of the code."""

from __future__ import annotations

import json
from pathlib import Path

from scones.aws.templates import read_template

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "application.md").read_text(encoding="utf-8")
STEPS = {
    "upload to order": ("upload_to_order_ms",),
    **{
        name: ("states_ms", name)
        for name in ("SerializeImage", "ClassifyImage", "FilterInferences", "AssignOrder")
    },
}


def test_the_latencies_are_the_measured_ones() -> None:
    measured = json.loads((ROOT / "benchmarks" / "checkins.json").read_text())["latency"]
    for name, path in STEPS.items():
        found = measured
        for part in path:
            found = found[part]
        assert f"| {name} | {found['p50']} | {found['p95']} |" in PAGE, name


def test_the_billed_transitions_are_the_states_on_the_way() -> None:
    """Counted in the scenarios, which both interpreters walk through."""
    scenarios = json.loads((ROOT / "events" / "scenarios" / "route_delivery.json").read_text())
    for outcome, name in [
        ("ROUTED", "a motorcycle is routed"),
        ("InvalidImage", "a photo that the container cannot read is quarantined"),
        ("LowConfidence", "low confidence goes to a person and fails"),
        ("EndpointUnavailable", "an endpoint that stays away fails the check-in after four attempts"),
    ]:
        scenario = scenarios[name]
        retries = sum(max(0, len(answers) - 1) for answers in scenario["tasks"].values())
        transitions = len(scenario["expect"]["path"]) + retries
        price = f"${transitions * 0.025:.3f}"
        assert f"| `{outcome}` | {transitions} | {price} |" in PAGE, (outcome, transitions)


def test_every_parameter_and_function_is_described() -> None:
    how_to = (ROOT / "docs" / "how-to" / "deploy-to-aws.md").read_text(encoding="utf-8")
    for name in set(read_template(ROOT / "template.yaml")["Parameters"]) - {"Classes", "MaxImageBytes"}:
        assert f"`{name}`" in how_to, name
    for folder in (ROOT / "functions").iterdir():
        assert f"`{folder.name}`" in PAGE, folder.name
