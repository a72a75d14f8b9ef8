"""Settings: which layer wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from scones.errors import UsageError
from scones.settings import Settings, load_settings


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings(environment={}, directory=tmp_path)
    assert (settings.target, settings.threshold, settings.seed) == ("local", 0.93, 0)
    assert settings.cache_dir == Path.home() / ".cache" / "scones"


def test_flag_beats_environment_beats_file(tmp_path: Path) -> None:
    (tmp_path / "scones.toml").write_text('region = "eu-west-1"\nseed = 1\nthreshold = 0.5\n')
    environment = {"SCONES_SEED": "2", "SCONES_THRESHOLD": "0.6", "PATH": "/bin"}
    settings = load_settings({"threshold": 0.7, "region": None}, environment, tmp_path)
    assert (settings.region, settings.seed, settings.threshold) == ("eu-west-1", 2, 0.7)


def test_whole_numbers_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "scones.toml").write_text("threshold = 1\n")
    assert load_settings(environment={}, directory=tmp_path).threshold == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("threshhold = 0.9", "Unknown setting 'threshhold'"),
        ("threshold = 1.5", "between 0 and 1"),
        ('threshold = "nan"', "between 0 and 1"),
        ('threshold = "high"', "must be a number"),
        ("seed = 1.5", "must be a whole number"),
        ("seed = true", "must be a whole number"),
        ("seed = [1]", "must be a whole number"),
        ("cache_dir = 3", "must be a path"),
        ('target = "moon"', "one of local, aws"),
        ("seed = ", "cannot be read"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "scones.toml").write_text(line)
    with pytest.raises(UsageError, match=message):
        load_settings(environment={}, directory=tmp_path)


def test_an_unknown_variable_names_the_likely_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SCONES_TRESHOLD") as caught:
        load_settings(environment={"SCONES_TRESHOLD": "1"}, directory=tmp_path)
    assert "'threshold'" in caught.value.hint


def test_classes_are_names_in_label_order() -> None:
    assert Settings(classes="bicycle, motorcycle,").class_names == ("bicycle", "motorcycle")


def test_settings_cannot_change() -> None:
    with pytest.raises(AttributeError):
        Settings().seed = 3  # type: ignore[misc]
