"""The colours of a vehicle and of who rides it, drawn without knowing which vehicle it will be."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from scones.data.drawing.chance import chance, pick, tint
from scones.data.drawing.pen import Colour

# Reds, oranges and yellows, greens, blues; violet is rare. As fractions of the colour circle.
HUES = ((-0.02, 0.02), (-0.02, 0.02), (0.04, 0.15), (0.3, 0.47), (0.53, 0.63), (0.53, 0.63), (0.63, 0.95))


@dataclass(frozen=True)
class Palette:
    """One colour for each material."""

    paint: Colour
    accent: Colour
    metal: Colour
    dark: Colour  # engine, saddle, grips, bags
    rubber: Colour
    glass: Colour
    skin: Colour
    top: Colour
    trousers: Colour
    helmet: Colour


def sample_palette(rng: Generator, behind: tuple[Colour, ...]) -> Palette:
    """A palette whose paint stands out from the colours `behind` the vehicle."""
    paint = sample_paint(rng)
    for _ in range(8):
        if min(distance(paint, colour) for colour in behind) > 100:
            break
        paint = sample_paint(rng)
    return Palette(
        paint=paint,
        accent=sample_paint(rng),
        metal=tint(rng, saturation=(0, 0.08), value=(0.6, 0.95)),
        dark=tint(rng, saturation=(0, 0.3), value=(0.12, 0.3)),
        rubber=tint(rng, saturation=(0, 0.15), value=(0.05, 0.16)),
        glass=tint(rng, (0.45, 0.65), (0.05, 0.25), (0.75, 0.95)),
        skin=tint(rng, (0.04, 0.09), (0.25, 0.6), (0.35, 0.95)),
        top=sample_paint(rng),
        trousers=tint(rng, (0.5, 0.75), (0, 0.6), (0.12, 0.6)),
        helmet=sample_paint(rng),
    )


def sample_paint(rng: Generator) -> Colour:
    """A lacquer: saturated, or one time in three black, silver or white."""
    if chance(rng, 0.35):
        return tint(rng, saturation=(0, 0.06), value=pick(rng, ((0.06, 0.16), (0.6, 0.75), (0.88, 1))))
    return tint(rng, pick(rng, HUES), (0.6, 0.95), (0.4, 0.95))


def distance(a: Colour, b: Colour) -> float:
    """Euclidean distance in RGB."""
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5)
