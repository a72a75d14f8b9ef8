"""Chance, from `Generator.random` alone: the plainest of NumPy's streams, so the least likely to change."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeVar

from numpy.random import Generator

from scones.data.drawing.pen import Colour

T = TypeVar("T")


def between(rng: Generator, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return low + (high - low) * float(rng.random())


def chance(rng: Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


def pick(rng: Generator, choices: Sequence[T]) -> T:
    """One of the choices, all equally likely."""
    return choices[int(rng.random() * len(choices))]


def tint(
    rng: Generator,
    hue: tuple[float, float] = (0, 1),
    saturation: tuple[float, float] = (0, 1),
    value: tuple[float, float] = (0, 1),
) -> Colour:
    """A colour from a box of hue, saturation and value, each in 0..1."""
    red, green, blue = colorsys.hsv_to_rgb(
        between(rng, *hue) % 1, between(rng, *saturation), between(rng, *value)
    )
    return (round(red * 255), round(green * 255), round(blue * 255))
