"""Hyperparameters: strings on the wire, typed and checked here, saved with the model.

The names of SageMaker's built-in image classification are accepted as well; those that this recipe has no
use for are named in a warning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from scones.errors import UsageError

Check = tuple[Callable[[Any], bool], str]


def _positive(most: float) -> Check:
    return (lambda value: 0 < value <= most), f"above 0 and at most {most:g}"


def _between(least: float, most: float) -> Check:
    return (lambda value: least <= value <= most), f"between {least:g} and {most:g}"


def _share(most: float = 1.0) -> Check:
    return _between(0, most)


def _parameter(default: Any, check: Check, text: str) -> Any:
    return field(default=default, metadata={"check": check, "help": text})


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what training does; measured in `benchmarks/train.json`."""

    epochs: int = _parameter(12, _positive(1000), "Passes over the training pictures.")
    side: int = _parameter(
        160, _between(32, 512), "Side of the pictures from the middle of training on, pixels."
    )
    mini_batch_size: int = _parameter(32, _positive(4096), "Pictures a step.")
    learning_rate: float = _parameter(3e-4, _positive(0.01), "Peak rate of the backbone (AdamW).")
    head_learning_rate: float = _parameter(2e-3, _positive(0.1), "Peak rate of the last layer.")
    weight_decay: float = _parameter(0.01, _share(), "Weight decay of AdamW.")
    label_smoothing: float = _parameter(0.1, _share(0.9), "Share of a label given to all classes alike.")
    dropout: float = _parameter(0.2, _share(0.9), "Share of the embedding dropped in training.")
    frozen_blocks: int = _parameter(
        5, _share(15), "First blocks of the network that stay as ImageNet left them."
    )
    outliers: float = _parameter(0.19, _share(), "Pictures of no class added to a step, as a share of it.")
    seed: int = _parameter(0, _share(2**31), "Seed of every random choice.")
    early_stopping: bool = _parameter(True, (lambda value: True, ""), "Stop when validation gets no better.")
    early_stopping_patience: int = _parameter(8, _positive(1000), "Epochs without a lower validation loss.")
    threads: int = _parameter(0, _share(256), "CPU threads; 0 = one for each core.")


QUICK: dict[str, Any] = {"epochs": 6, "side": 128}
# Of the built-in algorithm, used for checking the data, not for training.
DESCRIBING = {"num_classes", "num_training_samples", "image_shape", "class_names"}
# Of the built-in algorithm, without use here: another network, another optimiser.
UNUSED = {
    "num_layers", "use_pretrained_model", "optimizer", "momentum", "beta_1", "beta_2", "eps", "gamma",
    "lr_scheduler_factor", "lr_scheduler_step", "augmentation_type", "top_k", "kv_store", "multi_label",
    "use_weighted_loss", "precision_dtype", "resize", "checkpoint_frequency", "early_stopping_min_epochs",
    "early_stopping_tolerance",
}  # fmt: skip


@dataclass(frozen=True)
class Described:
    """What the hyperparameters say about the data; None where they say nothing."""

    num_classes: int | None = None
    num_training_samples: int | None = None
    image_shape: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()


def parse_hyperparameters(
    values: Mapping[str, str], builtin: bool = False
) -> tuple[Recipe, Described, list[str]]:
    """Recipe, description of the data, and warnings.

    `builtin`: the job is written for the built-in algorithm, whose learning rates are SGD's; one too high
    for AdamW gives a warning and the recipe's own rate. Raises UsageError for unknown names and bad values.
    """
    names = {entry.name for entry in fields(Recipe)}
    given, warnings = {k: v for k, v in values.items() if not k.startswith(("sagemaker_", "_"))}, []
    unknown = sorted(set(given) - names - DESCRIBING - UNUSED - {"quick"})
    if unknown:
        raise UsageError(
            f"Unknown hyperparameter {unknown[0]!r}.",
            f"Known: {', '.join(sorted(names | DESCRIBING | {'quick'}))}.",
        )
    unused = sorted(set(given) & UNUSED)
    if unused:
        warnings.append(f"Hyperparameters without use for this algorithm: {', '.join(unused)}.")
    if builtin and _is_too_high(given.get("learning_rate")):
        warnings.append(
            f"learning_rate {given.pop('learning_rate')} is meant for SGD; {Recipe.learning_rate} is used."
        )
    recipe = replace(Recipe(), **QUICK) if _parse("quick", given.get("quick", "false"), bool) else Recipe()
    recipe = replace(recipe, **{name: _convert(name, given[name]) for name in sorted(names & set(given))})
    return recipe, _describe(given), warnings


def _is_too_high(rate: str | None) -> bool:
    try:
        return rate is not None and float(rate) > 0.01
    except ValueError:
        return False


def _convert(name: str, text: str) -> Any:
    entry = next(entry for entry in fields(Recipe) if entry.name == name)
    value = _parse(name, text, type(entry.default))
    holds, words = entry.metadata["check"]
    if not holds(value):
        raise UsageError(f"Hyperparameter {name} is {text!r}; it must be {words}.")
    return value


def _parse(name: str, text: str, kind: type) -> Any:
    """`text` as `kind`; SageMaker's SDK may have JSON-encoded it once more, so quotes around it are taken
    off."""
    bare = str(text).strip().strip('"')
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[bare.lower()]
        return kind(bare)
    except (ValueError, KeyError):
        words = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise UsageError(f"Hyperparameter {name} is {text!r}; it must be {words}.") from None


def _describe(given: Mapping[str, str]) -> Described:
    def number(name: str) -> int | None:
        return _parse(name, given[name], int) if name in given else None

    shape = None
    if "image_shape" in given:
        parts = given["image_shape"].strip('"[]() ').split(",")
        shape = tuple(_parse("image_shape", part, int) for part in parts)
        if len(shape) != 3 or shape[0] != 3:
            raise UsageError(
                f"Hyperparameter image_shape is {given['image_shape']!r}; it must be like '3,224,224'."
            )
    names = given.get("class_names", "")
    split = json.loads(names) if names.startswith("[") else names.split(",")
    classes = tuple(str(name).strip() for name in split if str(name).strip())
    return Described(number("num_classes"), number("num_training_samples"), shape, classes)
