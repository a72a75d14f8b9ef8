"""Training: learns, is reproducible, resumes after a kill, stops when asked. Two tiny drawn classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scones.errors import ModelError
from scones.model import step, training
from scones.model.augmentation import augment, make_outliers
from scones.model.dataset import Dataset
from scones.model.head import to_tensor
from scones.model.network import load_imagenet
from scones.model.recipe import Recipe
from scones.model.training import Epoch, Trained, check_memory, choose_side, train

RECIPE = Recipe(epochs=2, side=64, mini_batch_size=8, frozen_blocks=11, threads=1)


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """64 pixels instead of 160: the same code in a fraction of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "FIRST_SIDE", 48)
        yield


@pytest.fixture(scope="module")
def trained(drawn: Dataset) -> Trained:
    return train(drawn, RECIPE)


def equal(first: Trained, second: Trained) -> bool:
    other = second.network.state_dict()
    return all(torch.equal(value, other[name]) for name, value in first.network.state_dict().items())


def test_it_learns_what_is_easy(trained: Trained) -> None:
    assert trained.history[-1].validation_accuracy == 1.0
    assert [epoch.number for epoch in trained.history] == [1, 2]


def test_floats_are_whole_again_after_training(drawn: Dataset, trained: Trained) -> None:
    train(drawn, replace(RECIPE, epochs=1))  # not the first in this process: ONNX Runtime resets them once
    assert sys.float_info.min / 2 > 0, "denormals still count as zero"


def test_what_is_frozen_stays_as_imagenet_left_it(trained: Trained) -> None:
    before, after = load_imagenet().state_dict(), trained.network.state_dict()
    same = {name for name, value in after.items() if torch.equal(value, before.get(name, torch.empty(0)))}
    frozen = ("stem.", *(f"blocks.{number}." for number in range(RECIPE.frozen_blocks)))
    assert same == {name for name in after if name.startswith(frozen) or "depthwise" in name}


def test_the_same_seed_gives_the_same_weights_and_another_does_not(drawn: Dataset, trained: Trained) -> None:
    assert equal(train(drawn, RECIPE), trained)
    assert not equal(train(drawn, replace(RECIPE, seed=1)), trained)


def test_the_number_of_threads_changes_nothing_but_the_time(drawn: Dataset, trained: Trained) -> None:
    assert equal(train(drawn, replace(RECIPE, threads=3)), trained)
    assert torch.get_num_threads() == 3


def test_every_kind_of_stranger_has_its_part_in_a_step(
    drawn: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def make(pixels: torch.Tensor, kinds: range, side: int, generator: torch.Generator) -> torch.Tensor:
        seen.extend(kinds)
        return make_outliers(pixels, kinds, side, generator)

    monkeypatch.setattr(step, "make_outliers", make)
    train(drawn, replace(RECIPE, epochs=1, outliers=0.75))
    assert sorted(seen) == sorted([*range(6), *range(6)])  # two steps of eight pictures


def test_a_loss_beyond_numbers_ends_training(drawn: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "OUTLIER_WEIGHT", float("inf"))
    with pytest.raises(ModelError, match="no longer finite"):
        train(drawn, RECIPE)


def test_a_killed_run_goes_on_and_ends_the_same(drawn: Dataset, trained: Trained, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def die(epoch: Epoch) -> None:
        raise Killed

    checkpoint = tmp_path / "checkpoint.pt"
    seen: list[Epoch] = []
    with pytest.raises(Killed):  # after the second epoch, whose checkpoint is not yet written
        train(
            drawn, RECIPE, lambda epoch: seen.append(epoch) if epoch.number == 1 else die(epoch), checkpoint
        )
    resumed = train(drawn, RECIPE, seen.append, checkpoint)
    assert [epoch.number for epoch in seen] == [1, 2]
    assert equal(resumed, trained)


def test_a_checkpoint_of_other_data_is_not_used(drawn: Dataset, tmp_path: Path) -> None:
    checkpoint, seen = tmp_path / "checkpoint.pt", []
    train(drawn, replace(RECIPE, epochs=1), checkpoint=checkpoint)
    train(replace(drawn, digest="other"), replace(RECIPE, epochs=1), seen.append, checkpoint)
    assert len(seen) == 1


def test_a_damaged_checkpoint_is_named(drawn: Dataset, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"cut off")
    with pytest.raises(ModelError, match=r"checkpoint.* is damaged"):
        train(drawn, RECIPE, checkpoint=tmp_path / "checkpoint.pt")


def test_it_stops_when_told(drawn: Dataset) -> None:
    stopped = train(drawn, RECIPE, should_stop=lambda: True)
    assert (stopped.stopped, stopped.history) == ("signal", ())


def test_it_stops_early_and_goes_back_to_the_best_epoch(
    drawn: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, epochs=6, early_stopping_patience=1)
    asked = iter(range(100))
    first_epoch = train(drawn, recipe, should_stop=lambda: next(asked) == 2)  # two steps an epoch
    losses = iter([1.0, 2.0])
    monkeypatch.setattr(training, "evaluate", lambda network, split, workers: (next(losses), 0.5))
    stopped = train(drawn, recipe)
    assert (stopped.stopped, len(stopped.history)) == ("early", 2)
    assert equal(stopped, first_epoch)


def test_three_classes_and_no_validation_work(drawn: Dataset) -> None:
    labels = np.arange(16) % 3
    split = replace(drawn.splits["train"], labels=labels.astype(np.int64))
    data = Dataset(("a", "b", "c"), {"train": split}, "digest", {})
    result = train(data, replace(RECIPE, epochs=1))
    assert result.network.classifier.out_features == 3
    assert result.history[0].validation_loss is None


def test_too_little_memory_is_said_before_anything_starts(drawn: Dataset) -> None:
    with pytest.raises(ModelError, match=r"takes 1\.2 GB of memory; 0\.5 GB is free"):
        check_memory(drawn.splits["train"], available=500_000_000)


def test_the_side_grows_to_the_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "FIRST_SIDE", 96)
    sides = [choose_side(number, Recipe(epochs=8)) for number in range(8)]
    assert sides == [96, 112, 128, 144, 160, 160, 160, 160]
    assert choose_side(0, Recipe(epochs=1)) == 96
    assert choose_side(5, Recipe(epochs=6, side=128)) == 128


@pytest.mark.parametrize("side", [48, 96])
def test_varied_pictures_are_pictures_and_differ(drawn: Dataset, side: int) -> None:
    pixels = to_tensor(drawn.splits["train"].pixels)
    generator = torch.Generator().manual_seed(0)
    first, second = augment(pixels, side, generator), augment(pixels, side, generator)
    strangers = make_outliers(pixels, range(12), side, generator)
    for pictures in (first, second, strangers):
        assert pictures.shape[1:] == (3, side, side)
        assert pictures.min() >= 0
        assert pictures.max() <= 255
    assert not torch.equal(first, second)
    assert len(strangers) == 12
