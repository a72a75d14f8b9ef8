"""Hyperparameters: strings on the wire, typed and checked."""

from __future__ import annotations

import pytest

from scones.errors import UsageError
from scones.model.recipe import Recipe, parse_hyperparameters


def test_nothing_given_is_the_default_recipe() -> None:
    assert parse_hyperparameters({})[0] == Recipe()


def test_strings_become_numbers_and_quotes_come_off() -> None:
    recipe, _, _ = parse_hyperparameters(
        {"epochs": '"3"', "learning_rate": "0.001", "early_stopping": "False"}
    )
    assert (recipe.epochs, recipe.learning_rate, recipe.early_stopping) == (3, 0.001, False)


def test_quick_is_shorter_and_gives_way_to_epochs() -> None:
    assert parse_hyperparameters({"quick": "true"})[0].epochs < Recipe().epochs
    assert parse_hyperparameters({"quick": "true", "epochs": "7"})[0].epochs == 7


def test_the_course_s_hyperparameters_are_understood() -> None:
    course = {
        "image_shape": "3,32,32", "num_classes": "2", "num_training_samples": "1000", "num_layers": "18",
        "use_pretrained_model": "0", "mini_batch_size": "64", "learning_rate": "0.1", "optimizer": "sgd",
        "_tuning_objective_metric": "validation:accuracy",
    }  # fmt: skip
    recipe, described, warnings = parse_hyperparameters(course, builtin=True)
    assert (recipe.mini_batch_size, recipe.learning_rate) == (64, Recipe().learning_rate)
    assert (described.num_classes, described.num_training_samples) == (2, 1000)
    assert described.image_shape == (3, 32, 32)
    assert "num_layers, optimizer, use_pretrained_model" in warnings[0]
    assert "SGD" in warnings[1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": "many"}, "'many'; it must be a whole number"),
        ({"epochs": "0"}, "above 0"),
        ({"dropout": "1.5"}, "between 0 and 0.9"),
        ({"learning_rate": "nan"}, "above 0"),
        ({"learning_rate": "0.1"}, "at most 0.01"),
        ({"early_stopping": "perhaps"}, "true or false"),
        ({"epoches": "3"}, "Unknown hyperparameter 'epoches'"),
        ({"image_shape": "1,32,32"}, "3,224,224"),
        ({"num_classes": "two"}, "num_classes is 'two'"),
    ],
)
def test_bad_values_are_named(values: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_hyperparameters(values)


@pytest.mark.parametrize("names", ["bicycle, motorcycle", '["bicycle", "motorcycle"]'])
def test_class_names_come_as_a_list_or_json(names: str) -> None:
    assert parse_hyperparameters({"class_names": names})[1].class_names == ("bicycle", "motorcycle")
