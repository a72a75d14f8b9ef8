"""Whoever sits on a vehicle: limbs between the hip, the bars and the pedals or pegs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scones.data.drawing.palette import Palette
from scones.data.drawing.pen import Array, Pen, at, circle, shade, shift

Point = tuple[float, float]
THIGH, SHIN, UPPER_ARM, FOREARM, TORSO = 0.44, 0.45, 0.31, 0.29, 0.52


@dataclass(frozen=True)
class Posture:
    """Where a vehicle wants its rider, in metres: hip, hand, (near, far) foot, half the legs' width."""

    hip: Point
    hand: Point
    feet: tuple[Point, Point]
    spread: float

    @property
    def shoulder(self) -> Point:
        """As upright as the arms allow."""
        hip, hand = np.array(self.hip), np.array(self.hand)
        lean = np.clip(1.05 - 0.75 * (hand[0] - hip[0] - 0.35) + 0.35 * (hand[1] - hip[1]), 0.7, 1.45)
        x, y = hip + TORSO * np.array([np.cos(lean), np.sin(lean)])
        return (float(x), float(y))

    @property
    def top(self) -> float:
        """Height of the helmet, in metres."""
        return self.shoulder[1] + 0.37


def bend(start: Point, end: Point, first: float, second: float, side: float) -> Array:
    """(3, 2) a limb of two bones from start towards end; `side` +1 or -1 says where its joint points."""
    a, b = np.array(start), np.array(end)
    span = float(np.linalg.norm(b - a))
    reach = min(span, 0.999 * (first + second))
    along = (first**2 - second**2 + reach**2) / (2 * reach)
    way = (b - a) / span
    joint = a + along * way + side * np.sqrt(max(first**2 - along**2, 0)) * np.array([-way[1], way[0]])
    return np.stack([a, joint, a + reach * way])


def draw_far_limbs(pen: Pen, posture: Posture, palette: Palette) -> None:
    """The leg and arm that the vehicle hides."""
    draw_leg(pen, posture, posture.feet[1], -posture.spread, palette, 0.72)
    draw_arm(pen, posture, -0.2, palette, 0.72)


def draw_rider(pen: Pen, posture: Posture, palette: Palette) -> None:
    """Torso, head, near leg and near arm."""
    pen.tube(at((posture.hip, posture.shoulder), 0), 0.25, palette.top)
    draw_head(pen, posture, palette)
    draw_leg(pen, posture, posture.feet[0], posture.spread, palette, 1.0)
    draw_arm(pen, posture, 0.2, palette, 1.0)


def draw_head(pen: Pen, posture: Posture, palette: Palette) -> None:
    x, y = posture.shoulder
    centre = (x + 0.06, y + 0.22)
    pen.stroke(at((shift(posture.shoulder, 0.02, 0.07), centre), 0), 0.1, palette.skin)
    pen.polygon(at(np.array(centre) + circle(pen.corners) * (0.1, 0.125), 0), palette.skin)
    dome = circle(pen.corners)
    dome = dome[dome[:, 1] > 0.15 - 0.5 * (dome[:, 0] < -0.3)]
    pen.polygon(at(np.array(centre) + (-0.015, 0.02) + dome * (0.135, 0.14), 0), palette.helmet)


def draw_leg(pen: Pen, posture: Posture, foot: Point, z: float, palette: Palette, light: float) -> None:
    hip, knee, ankle = bend(posture.hip, (foot[0] - 0.04, foot[1] + 0.1), THIGH, SHIN, side=1)
    pen.tube(at((hip, knee), z), 0.16, shade(palette.trousers, light))
    pen.tube(at((knee, ankle), z), 0.115, shade(palette.trousers, light))
    toe = shift(ankle, 0.16, -0.08)
    pen.stroke(at((shift(ankle, 0, -0.06), toe), z), 0.08, shade(palette.dark, light))


def draw_arm(pen: Pen, posture: Posture, z: float, palette: Palette, light: float) -> None:
    shoulder, elbow, hand = bend(posture.shoulder, posture.hand, UPPER_ARM, FOREARM, side=-1)
    pen.tube(at((shoulder, elbow), z), 0.105, shade(palette.top, light * 0.92))
    pen.tube(at((elbow, hand), z), 0.085, shade(palette.top, light * 0.92))
    pen.stroke(at((hand, shift(hand, 0.02, 0)), z), 0.085, shade(palette.skin, light))
