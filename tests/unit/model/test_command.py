"""`scones model`, as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Stage = Callable[..., Path]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scones", "model", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_train_evaluate_and_list(stage: Stage, tmp_path: Path) -> None:
    data, out = stage(), tmp_path / "out"
    trained = run("train", "--data", data, "--out", out, "--epochs", 1, "--seed", 5, "--json")
    assert trained.returncode == 0, trained.stderr
    report = json.loads(trained.stdout)
    wanted = {"test_accuracy", "ci95", "ece", "threshold", "coverage", "selective_accuracy", "train_seconds"}
    assert wanted <= report.keys()
    assert (report["seed"], report["threshold"], report["source"]) == (5, 0.93, {"kind": "drawn"})
    assert [path.name for path in out.iterdir()] == ["model.tar.gz"]

    sheet = tmp_path / "mistakes.png"
    evaluated = run(
        "evaluate", "--model", out, "--data", data, "--threshold", 0.5, "--sheet", sheet, "--json"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    again = json.loads(evaluated.stdout)
    assert wanted | {"per_class", "confusion", "mistakes", "test_accuracy_without_twins"} <= again.keys()
    assert again["test_accuracy"] == report["test_accuracy"]
    assert (again["threshold"], again["coverage"], again["twins"]) == (0.5, 1.0, 1)
    assert sheet.read_bytes().startswith(b"\x89PNG")

    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.tar.gz").write_bytes(b"cut off")
    listed = json.loads(run("list", tmp_path, "--json").stdout)
    assert [("problem" in row, row.get("seed")) for row in listed] == [(True, None), (False, 5)]
    assert "is damaged" in listed[0]["problem"]


def test_what_is_told_on_the_terminal_is_no_json(stage: Stage, tmp_path: Path) -> None:
    told = run("list", tmp_path)
    assert (told.returncode, told.stdout) == (0, "")
    assert "No model.tar.gz" in " ".join(told.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "--data", "{empty}", "--out", "{empty}"], 1, "dataset.json is missing"),
        (["evaluate", "--model", "{empty}", "--data", "{empty}"], 1, "no model artifact"),
        (["train", "--out", "{empty}"], 2, "--data"),
        (["train", "--data", "{empty}", "--out", "{empty}", "--epochs", "0"], 2, "--epochs"),
        (["train", "--data", "{empty}", "--out", "{empty}", "--seed", "-1"], 2, "seed is '-1'"),
    ],
)
def test_bad_calls_end_with_one_sentence_and_the_right_code(
    tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    done = run(*(argument.format(empty=tmp_path) for argument in arguments))
    assert (done.returncode, done.stdout) == (code, "")
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
