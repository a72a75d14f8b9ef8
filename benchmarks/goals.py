"""The classifier's goals beside what was measured, as the Markdown table in docs/explanation/classifier.md.

python benchmarks/goals.py      writes the tables of the README and of that page from the results files
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE, README = HERE.parent / "docs" / "explanation" / "classifier.md", HERE.parent / "README.md"
STRANGERS = {
    "noise": "noise",
    "blank": "blank frames",
    "noisy_100": "test pictures under noise of standard deviation 100",
    "noisy_50": "the same, 50",
    "unrelated": "unrelated pictures",
}


def list_goals(result: dict[str, Any], inference: dict[str, Any]) -> list[str]:
    """One line a goal: what, goal, measured, and whether it was missed."""
    seeds, folds, quick = (result[kind]["summary"] for kind in ("default", "fold", "quick"))
    timed, pooled = result["timed"]["summary"], result["fold"]["pooled"]
    photos, strangers = seeds["photos"], seeds["confident_on_strangers"]
    latency = inference["whole answer, 1 thread"]["thumbnail_ms"]
    lines = [
        _compare("accuracy, five-fold cross-validation", folds["test_accuracy"], least=0.98),
        _compare(f"accuracy, 200 test pictures, {seeds['runs']} seeds", seeds["test_accuracy"], least=0.975),
        _compare("the same without pictures with a twin in training", seeds["test_accuracy_without_twins"]),
        _compare("calibration error, out of fold (pooled)", pooled["ece"], most=0.02),
        _compare("calibration error, test", seeds["ece"], most=0.03),
        _compare("covered at .93, out of fold (pooled)", pooled["coverage"], least=0.95),
        _compare("right among those", pooled["selective_accuracy"], least=0.985),
        _compare("covered at .93, test", seeds["coverage"]),
        _compare("right among those", seeds["selective_accuracy"]),
        _compare("seconds of wall time, two threads", timed["wall_seconds"], most=150, digits=0),
        _compare("quick recipe: seconds of wall time", quick["wall_seconds"], most=60, digits=0),
        _compare("quick recipe: accuracy, five-fold", result["quick-fold"]["summary"]["test_accuracy"], 0.96),
        _compare("peak memory, GB", timed["peak_memory_mb"]["mean"] / 1000, most=2, digits=1),
        _compare("model, MB", seeds["artifact_mb"]["mean"], most=4, digits=1),
        _compare(
            "a thumbnail's answer on one thread, decoding and neighbours included, ms",
            latency,
            most=3,
            digits=1,
        ),
        _compare("120 real photos: accuracy", photos["test_accuracy"], least=0.97),
        _compare("the odd half alone", photos["accuracy_odd_half"]),
        _compare("right among the photos over .93", photos["selective_accuracy"], least=0.985),
        _compare("photos over .93", photos["coverage"]),
        _compare("clean test pictures refused", seeds["refused"], most=0.02),
    ]
    for name, words in STRANGERS.items():
        if name in strangers:
            kept = {"mean": 1 - strangers[name]["mean"], "sd": strangers[name]["sd"]}
            lines.append(_compare(f"not routed: {words}", kept, least=0.90))
    return ["| what | goal | measured |", "|---|---|---|", *lines]


def _compare(
    what: str, value: Any, least: float | None = None, most: float | None = None, digits: int = 3
) -> str:
    mean, sd = (value["mean"], value["sd"]) if isinstance(value, dict) else (value, 0.0)
    told = f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd else "")
    # What is shown decides, so that nobody reads 0.020 as over 0.02.
    shown = round(mean, digits)
    missed = (least is not None and shown < least) or (most is not None and shown > most)
    goal = f"at least {least:g}" if least is not None else f"at most {most:g}" if most is not None else ""
    return f"| {what} | {goal} | {f'{told}, missed' if missed else f'**{told}**' if goal else told} |"


def replace_table(page: Path, table: list[str]) -> None:
    """Put `table` in place of the page's table whose header starts alike."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(table[0][:20]))
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    page.write_text("\n".join([*lines[:start], *table, *lines[end:]]) + "\n", encoding="utf-8")


def main() -> None:
    from train import list_table

    result, inference = (json.loads((HERE / f"{name}.json").read_text()) for name in ("train", "inference"))
    replace_table(PAGE, list_goals(result, inference))
    replace_table(README, list_table(result))


if __name__ == "__main__":
    main()
