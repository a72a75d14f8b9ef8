"""`train` as SageMaker runs it: a process, files in, files out, an exit code."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scones.container.training import METRICS
from scones.model.artifact import open_artifact

Job = Callable[..., Path]
Run = Callable[[Path], Any]


def test_a_good_job_leaves_a_checked_artifact(finished: Any) -> None:
    assert (finished.code, finished.errors) == (0, "")
    artifact = open_artifact(finished.base / "model")
    assert artifact.labels == ("disc", "stripes")
    assert artifact.run["seed"] == 1
    assert artifact.run["data"]["pictures"]["train"] == {"disc": 8, "stripes": 8}
    assert artifact.calibration["fitted_on"] == 8
    assert not (finished.base / "output" / "failure").exists()
    assert not list((finished.base / "checkpoints").iterdir())


def test_nothing_in_the_artifact_is_pickled(finished: Any) -> None:
    names = {path.name for path in (finished.base / "model").rglob("*") if path.is_file()}
    assert names == {"model.onnx", "labels.json", "calibration.json", "embeddings.npz", "run.json"}


def test_metric_definitions_find_their_values(finished: Any) -> None:
    for name, expression in METRICS:
        found = re.findall(expression, finished.output)
        assert len(found) == (0 if name == "test:accuracy" else 2), name
        assert all(0 <= float(value) < 10 for value in found)


def test_the_built_in_algorithm_s_inputs_work(
    job: Job, run_job: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_DISPLAY_ENV", "VERBOSE")
    base = job(
        listed=True, epochs="1", num_classes="2", num_training_samples="1000", image_shape="3,32,32",
        learning_rate="0.1", mini_batch_size="8", num_layers="152",
    )  # fmt: skip
    done = run_job(base)
    assert done.code == 0, done.errors
    assert "GOMP_SPINCOUNT = '0'" in done.errors, "threads that spin slow a busy machine down"
    assert "without use for this algorithm: num_layers" in done.output
    assert "0.1 is meant for SGD" in done.output
    assert "num_training_samples is 1000; there are 16" in done.output
    assert open_artifact(base / "model").labels == ("0", "1")


def test_sigterm_saves_what_was_learnt_and_exits_cleanly(job: Job, start_job: Callable[[Path], Any]) -> None:
    base = job(epochs="500", mini_batch_size="8", early_stopping="false")
    process = start_job(base)
    for line in process.stdout:
        if line.startswith("Epoch[1]"):
            process.send_signal(signal.SIGTERM)
            break
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    run = open_artifact(base / "model").run
    assert run["stopped"] == "signal"
    assert 2 <= len(run["history"]) < 500
    assert (base / "checkpoints" / "checkpoint.pt").exists()


def break_nothing(base: Path) -> None: ...


def remove_train(base: Path) -> None:
    shutil.rmtree(base / "input" / "data" / "train")


def empty_train(base: Path) -> None:
    for path in (base / "input" / "data" / "train").rglob("*.png"):
        path.unlink()


def leave_one_class(base: Path) -> None:
    shutil.rmtree(base / "input" / "data" / "train" / "stripes")


def damage_pictures(base: Path) -> None:
    for name in ("0", "2"):
        (base / "input" / "data" / "train" / "disc" / f"{name}.png").write_bytes(b"no picture")


def damage_hyperparameters(base: Path) -> None:
    (base / "input" / "config" / "hyperparameters.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "values", "words"),
    [
        (remove_train, {}, "no channel 'train'"),
        (empty_train, {}, "holds no pictures"),
        (leave_one_class, {}, "one class only"),
        (damage_pictures, {}, r"2 of 16 pictures of the channel 'train' cannot be used: 0\.png: .*2\.png"),
        (damage_hyperparameters, {}, r"hyperparameters\.json cannot be read"),
        (break_nothing, {"num_classes": "3"}, "num_classes is 3, but the data has 2 classes: disc, stripes"),
        (break_nothing, {"epochs": "a few"}, "epochs is 'a few'; it must be a whole number"),
        (break_nothing, {"epochz": "3"}, "Unknown hyperparameter 'epochz'"),
        (break_nothing, {"class_names": "disc,star"}, "'star' has 0 pictures"),
    ],
)
def test_a_bad_job_says_why_and_leaves_nothing(
    job: Job, run_job: Run, damage: Callable[[Path], None], values: dict[str, str], words: str
) -> None:
    base = job(**values)
    damage(base)
    done = run_job(base)
    assert done.code == 1
    reason = (base / "output" / "failure").read_text()
    assert re.search(words, reason), reason
    assert len(reason) <= 1024
    assert reason in done.errors
    assert "Traceback" not in done.errors
    assert not list((base / "model").iterdir())
