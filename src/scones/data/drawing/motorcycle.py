"""Motorcycles: two fat tyres about an engine. What each style looks like, and where its parts are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from scones.data.drawing.chance import between, chance, pick
from scones.data.drawing.pen import Array
from scones.data.drawing.rider import Posture

Point = tuple[float, float]
Outline = tuple[Point, ...]


@dataclass(frozen=True)
class Style:
    """Profiles in metres, forward and up from the ground midway between the hubs."""

    name: str
    base: float  # wheelbase
    wheel: float  # radius
    tyre: float  # thickness
    head: Point  # top of the fork
    grip: Point
    hip: Point
    foot: Point
    lamp: Point  # the tail light
    seat: Outline
    panels: tuple[Outline, ...]  # painted, in the order in which they are drawn
    pipe: Outline = ()
    muffler: Outline = ()


# fmt: off
TANK = ((0.37, 0.87), (0.25, 1.05), (0.0, 1.05), (-0.16, 0.8), (-0.1, 0.68), (0.29, 0.66))
NAKED = Style(
    "naked", 1.38, 0.325, 0.135, head=(0.37, 0.95), grip=(0.32, 1.05), hip=(-0.24, 0.92), foot=(-0.04, 0.32),
    lamp=(-0.87, 0.87),
    seat=((-0.06, 0.83), (-0.3, 0.8), (-0.45, 0.87), (-0.81, 0.9), (-0.69, 0.8), (-0.12, 0.7)),
    panels=(((-0.93, 0.92), (-0.79, 0.78), (-0.24, 0.64), (-0.22, 0.82)), TANK),
    pipe=((0.28, 0.6), (0.36, 0.36), (0.16, 0.22), (-0.3, 0.24)), muffler=((-0.34, 0.25), (-0.89, 0.31)),
)
SPORT = Style(
    "sport", 1.38, 0.325, 0.135, head=(0.37, 0.95), grip=(0.39, 0.95), hip=(-0.24, 0.92), foot=(-0.2, 0.36),
    lamp=(-0.87, 0.93),
    seat=((-0.06, 0.83), (-0.3, 0.8), (-0.45, 0.91), (-0.81, 1.02), (-0.69, 0.92), (-0.12, 0.7)),
    panels=(((-0.93, 0.98), (-0.79, 0.84), (-0.24, 0.7), (-0.22, 0.88)), TANK,
            ((0.63, 0.85), (0.43, 1.03), (0.27, 0.93), (0.02, 0.62), (-0.1, 0.34), (0.1, 0.22), (0.36, 0.3),
             (0.39, 0.6))),
    pipe=((0.28, 0.6), (0.34, 0.34), (0.1, 0.22), (-0.25, 0.26)), muffler=((-0.3, 0.3), (-0.81, 0.56)),
)
CRUISER = Style(
    "cruiser", 1.55, 0.33, 0.15, head=(0.355, 0.92), grip=(0.195, 1.08), hip=(-0.24, 0.8), foot=(0.28, 0.3),
    lamp=(-1.12, 0.44),
    seat=((0.0, 0.74), (-0.2, 0.68), (-0.42, 0.72), (-0.52, 0.88), (-0.87, 0.84), (-0.67, 0.62),
          (-0.1, 0.56)),
    panels=(((0.315, 0.9), (0.075, 0.94), (-0.08, 0.72), (0.0, 0.68), (0.255, 0.66)),),
    pipe=((0.28, 0.6), (0.36, 0.36), (0.16, 0.22), (-0.3, 0.24)), muffler=((-0.34, 0.25), (-0.97, 0.31)),
)
ENDURO = Style(
    "enduro", 1.42, 0.35, 0.12, head=(0.39, 0.95), grip=(0.39, 1.1), hip=(-0.24, 1.01), foot=(-0.04, 0.34),
    lamp=(-0.89, 0.87),
    seat=((0.04, 0.95), (-0.35, 0.93), (-0.91, 1.0), (-0.93, 0.94), (-0.3, 0.82), (-0.02, 0.82)),
    panels=(((-0.95, 0.92), (-0.81, 0.78), (-0.24, 0.64), (-0.22, 0.82)),
            ((0.37, 0.95), (0.19, 1.01), (-0.05, 0.93), (-0.02, 0.8), (0.41, 0.62))),
    pipe=((0.28, 0.62), (0.36, 0.5), (0.1, 0.52), (-0.25, 0.6)), muffler=((-0.3, 0.62), (-0.81, 0.78)),
)
SCOOTER = Style(
    "scooter", 1.24, 0.24, 0.11, head=(0.38, 0.93), grip=(0.33, 1.03), hip=(-0.24, 0.92), foot=(0.16, 0.3),
    lamp=(-0.87, 0.66),
    seat=((-0.04, 0.78), (-0.1, 0.87), (-0.3, 0.83), (-0.5, 0.88), (-0.78, 0.86), (-0.82, 0.76)),
    panels=(((-0.12, 0.34), (-0.1, 0.74), (-0.3, 0.8), (-0.84, 0.76), (-0.92, 0.6), (-0.76, 0.46),
             (-0.46, 0.44), (-0.3, 0.26)),
            ((0.46, 0.91), (0.34, 0.93), (0.26, 0.5), (0.18, 0.28), (0.36, 0.26), (0.44, 0.56))),
    muffler=((-0.2, 0.26), (-0.8, 0.26)),
)
# fmt: on
STYLES = (NAKED, NAKED, CRUISER, SPORT, ENDURO, SCOOTER, SCOOTER)


@dataclass(frozen=True)
class Motorcycle:
    """One motorcycle: a style, and how this one departs from it."""

    style: Style
    stretch: float  # of its length
    wheel: float  # radius in metres
    tyre: float  # thickness in metres
    cast: int  # spokes of a cast wheel; 0 stands for wire ones
    phase: float
    fins: int
    screen: bool
    luggage: bool
    twin: bool  # a second exhaust pipe
    lamp: float  # radius of the headlight in metres

    def place(self, outline: Outline) -> Array:
        """A profile of the style (n, 2), at this motorcycle's length."""
        return np.array(outline) * (self.stretch, 1.0)

    def spot(self, point: Point) -> Point:
        """A point of the style, at this motorcycle's length."""
        return (point[0] * self.stretch, point[1])

    @property
    def rear(self) -> Point:
        return (-self.style.base / 2 * self.stretch, self.wheel)

    @property
    def front(self) -> Point:
        return (self.style.base / 2 * self.stretch, self.wheel)

    @property
    def head(self) -> Point:
        return self.spot(self.style.head)

    @property
    def grip(self) -> Point:
        return self.spot(self.style.grip)

    @property
    def extent(self) -> tuple[float, float, float]:
        """(rearmost, foremost, highest) in metres."""
        return (self.rear[0] - self.wheel - 0.04, self.front[0] + self.wheel, self.grip[1] + 0.08)

    @property
    def posture(self) -> Posture:
        foot = self.spot(self.style.foot)
        return Posture(hip=self.spot(self.style.hip), hand=self.grip, feet=(foot, foot), spread=0.17)


def sample_motorcycle(rng: Generator) -> Motorcycle:
    """A naked bike, cruiser, sports bike, enduro or scooter."""
    style = pick(rng, STYLES)
    return Motorcycle(
        style=style,
        stretch=between(rng, 0.95, 1.05),
        wheel=style.wheel * between(rng, 0.95, 1.05),
        tyre=style.tyre * between(rng, 0.9, 1.15),
        cast=0 if style is ENDURO or chance(rng, 0.15) else pick(rng, (3, 5, 6)),
        phase=between(rng, 0, 1),
        fins=pick(rng, (4, 5, 6)),
        screen=chance(rng, 0.3),
        luggage=chance(rng, 0.2),
        twin=chance(rng, 0.4),
        lamp=between(rng, 0.075, 0.1),
    )
