"""Bicycles: two thin spoked wheels joined by a frame of tubes that one sees through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from scones.data.drawing.chance import between, chance, pick
from scones.data.drawing.palette import Palette
from scones.data.drawing.pen import Array, Pen, at, circle, shift
from scones.data.drawing.rider import Posture

Point = tuple[float, float]
FRAMES = ("diamond", "diamond", "diamond", "mountain", "step-through", "curved")
BARS = ("drop", "flat", "swept")


@dataclass(frozen=True)
class Bicycle:
    """One bicycle; lengths in metres, angles in radians."""

    frame: str
    bars: str
    wheel: float  # radius
    tyre: float  # thickness
    tube: float
    reach: float  # how far the front hub is before the bottom bracket
    saddle: float  # height
    stem: float  # height of the bars above the head tube
    crank: float
    spokes: int
    phase: float
    mudguards: bool
    rack: bool
    basket: bool
    bag: bool
    bottle: bool

    @property
    def rear(self) -> Point:
        return (-0.49, self.wheel)

    @property
    def front(self) -> Point:
        return (self.reach, self.wheel)

    @property
    def bracket(self) -> Point:
        return (-0.06, 0.29)

    @property
    def seat(self) -> Point:
        return (-0.06 - 0.27 * (self.saddle - 0.29), self.saddle)

    @property
    def head(self) -> Point:
        """Top of the head tube, which slants back from the front hub."""
        return (self.reach - 0.22, 0.84)

    @property
    def extent(self) -> tuple[float, float, float]:
        """(rearmost, foremost, highest) in metres."""
        return (self.rear[0] - self.wheel, self.front[0] + self.wheel, 1.06)

    @property
    def posture(self) -> Posture:
        hands = {"drop": 0.1, "flat": 0.05, "swept": -0.12}[self.bars]
        swing = np.array([np.cos(self.crank), np.sin(self.crank)]) * 0.17
        near, far = np.array(self.bracket) + swing, np.array(self.bracket) - swing
        return Posture(
            hip=(self.seat[0] + 0.02, self.seat[1] + 0.07),
            hand=(self.head[0] + hands, self.head[1] + self.stem + 0.02),
            feet=((near[0], near[1]), (far[0], far[1])),
            spread=0.1,
        )


def sample_bicycle(rng: Generator) -> Bicycle:
    """A road, mountain, city or curved-frame bicycle with what its owner put on it."""
    frame = pick(rng, FRAMES)
    sporty = frame in ("diamond", "mountain")
    return Bicycle(
        frame=frame,
        bars="flat" if frame == "mountain" else pick(rng, BARS) if sporty else "swept",
        wheel=between(rng, 0.325, 0.36),
        tyre=between(rng, 0.05, 0.062) if frame == "mountain" else between(rng, 0.026, 0.044),
        tube=between(rng, 0.036, 0.052),
        reach=between(rng, 0.53, 0.61),
        saddle=between(rng, 0.88, 0.99),
        stem=between(rng, 0.03, 0.1) if sporty else between(rng, 0.12, 0.2),
        crank=between(rng, 0, 2 * np.pi),
        spokes=pick(rng, (18, 20, 24, 28)),
        phase=between(rng, 0, 1),
        mudguards=not sporty or chance(rng, 0.15),
        rack=chance(rng, 0.15 if sporty else 0.6),
        basket=not sporty and chance(rng, 0.45),
        bag=chance(rng, 0.2),
        bottle=sporty and chance(rng, 0.4),
    )


def draw_bicycle(pen: Pen, bicycle: Bicycle, palette: Palette) -> None:
    """From the far side to the near one."""
    draw_crank(pen, bicycle, palette, far=True)
    for hub in (bicycle.rear, bicycle.front):
        draw_wheel(pen, bicycle, hub, palette)
    draw_luggage(pen, bicycle, palette)
    draw_frame(pen, bicycle, palette)
    draw_saddle(pen, bicycle, palette)
    draw_bars(pen, bicycle, palette)
    draw_crank(pen, bicycle, palette, far=False)


def draw_wheel(pen: Pen, bicycle: Bicycle, hub: Point, palette: Palette) -> None:
    """Spokes cross the hub at a tangent, alternately, as laced wheels do."""
    inner = bicycle.wheel - bicycle.tyre
    turn = (np.arange(bicycle.spokes) + bicycle.phase) * 2 * np.pi / bicycle.spokes
    lean = turn + np.where(np.arange(bicycle.spokes) % 2, 0.9, -0.9)
    starts = np.array(hub) + 0.03 * np.stack([np.cos(lean), np.sin(lean)], axis=1)
    ends = np.array(hub) + inner * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    pen.fan(at(starts, 0), at(ends, 0), 0.004, palette.metal)
    pen.ring(hub, inner + 0.004, inner - 0.02, palette.metal)
    pen.ring(hub, bicycle.wheel, inner, palette.rubber)
    pen.ring(hub, 0.035, 0, palette.metal)


def draw_frame(pen: Pen, bicycle: Bicycle, palette: Palette) -> None:
    """Stays and fork in pairs about the wheels, then the main tubes."""
    seat, head, bracket = bicycle.seat, bicycle.head, bicycle.bracket
    top = (seat[0] + 0.045, seat[1] - 0.16)
    crown = (head[0] + 0.05, head[1] - 0.15)
    for z in (-0.05, 0.05):
        for end in (top, bracket):
            pen.tube(((*bicycle.rear, z), (*end, z / 3)), bicycle.tube * 0.6, palette.paint)
        pen.tube(((*crown, z * 0.8), (*bicycle.front, z)), bicycle.tube * 0.8, palette.paint)
    for line in main_tubes(bicycle, top, head, crown):
        pen.tube(at(line, 0), bicycle.tube, palette.paint)
    pen.tube(at((bracket, top), 0), bicycle.tube, palette.paint)
    pen.tube(at((crown, head), 0), bicycle.tube * 1.15, palette.paint)
    if bicycle.bottle:
        low = shift(bracket, 0.09, 0.14)
        pen.stroke(at((low, shift(low, 0.08, 0.12)), 0.02), 0.07, palette.accent)


def main_tubes(bicycle: Bicycle, top: Point, head: Point, crown: Point) -> tuple[Array, ...]:
    """Top and down tube; a step-through frame has two that dip, a curved one a single arc."""
    bracket = bicycle.bracket
    low = (bracket[0] - 0.05, bracket[1] + 0.2)
    if bicycle.frame == "step-through":
        return (np.array((crown, (crown[0] - 0.2, 0.52), low)), np.array((crown, (0.12, 0.36), bracket)))
    if bicycle.frame == "curved":
        bend = np.linspace(0, 1, 8)[:, None]
        dip = (bracket[0] + 0.22, bracket[1] - 0.04)
        ends = np.array(crown), np.array(dip), np.array(bracket)
        return ((1 - bend) ** 2 * ends[0] + 2 * bend * (1 - bend) * ends[1] + bend**2 * ends[2],)
    drop = 0.13 if bicycle.frame == "mountain" else 0.02
    return (np.array(((top[0] + 0.02, top[1] - drop), head)), np.array((crown, bracket)))


def draw_saddle(pen: Pen, bicycle: Bicycle, palette: Palette) -> None:
    x, y = bicycle.seat
    pen.tube(at(((x + 0.045, y - 0.17), (x + 0.01, y)), 0), 0.03, palette.metal)
    outline = (
        (x - 0.15, y + 0.06),
        (x - 0.13, y),
        (x + 0.16, y + 0.015),
        (x + 0.17, y + 0.045),
        (x, y + 0.045),
    )
    pen.solid(outline, 0.06, palette.dark)


def draw_bars(pen: Pen, bicycle: Bicycle, palette: Palette) -> None:
    x, y = bicycle.head
    clamp = (x + 0.05, y + bicycle.stem) if bicycle.bars != "swept" else (x - 0.02, y + bicycle.stem)
    pen.tube(at(((x, y), clamp), 0), 0.035, palette.metal)
    width = 0.21 if bicycle.bars == "drop" else 0.28
    pen.tube(((*clamp, -width), (*clamp, width)), 0.03, palette.metal)
    turns = {
        "drop": ((0, 0), (0.09, 0.0), (0.12, -0.06), (0.07, -0.13), (-0.02, -0.14)),
        "flat": ((0, 0), (-0.06, 0.005)),
        "swept": ((0, 0), (0.03, 0.03), (-0.19, 0.04)),
    }[bicycle.bars]
    for z in (-width, width):
        pen.tube(at(np.array(clamp) + turns, z), 0.03, palette.dark, floor=0.7)


def draw_crank(pen: Pen, bicycle: Bicycle, palette: Palette, far: bool) -> None:
    """Chain and chainring on the near side; one arm and its pedal on each."""
    x, y = bicycle.bracket
    z, sign = (-0.07, -1) if far else (0.07, 1)
    if not far:
        for high in (0.085, -0.085):
            hub = (bicycle.rear[0], bicycle.rear[1] + high * 0.4)
            pen.stroke(at((hub, (x, y + high)), 0.04), 0.012, palette.dark, floor=0.3)
        pen.ring((x, y), 0.095, 0.06, palette.metal, 0.05)
        pen.ring(bicycle.rear, 0.04, 0, palette.dark, 0.05)
    arm = (x + sign * 0.17 * np.cos(bicycle.crank), y + sign * 0.17 * np.sin(bicycle.crank))
    pen.stroke(at(((x, y), arm), z), 0.025, palette.metal, floor=0.5)
    pen.stroke(at(((arm[0] - 0.05, arm[1]), (arm[0] + 0.05, arm[1])), z * 1.6), 0.03, palette.dark)


def draw_luggage(pen: Pen, bicycle: Bicycle, palette: Palette) -> None:
    """Mudguards, rack, bag and basket."""
    rear, front, radius = bicycle.rear, bicycle.front, bicycle.wheel + 0.025
    arc = circle(pen.corners)
    if bicycle.mudguards:
        for hub, keep in ((rear, arc[:, 0] < 0.75), (front, arc[:, 0] < 0.45)):
            half = np.array(hub) + radius * arc[(arc[:, 1] > 0) & keep]
            pen.stroke(at(half, 0), 0.028, palette.accent, floor=0.5)
    if bicycle.rack:
        deck = rear[1] + radius + 0.04
        pen.stroke(at(((rear[0] - 0.22, deck), (-0.2, deck)), 0), 0.022, palette.metal, floor=0.5)
        pen.stroke(at(((rear[0] - 0.12, deck), rear), 0.06), 0.014, palette.metal, floor=0.3)
    if bicycle.bag:
        x, y = rear[0] - 0.05, rear[1]
        sack = ((x - 0.16, y + 0.34), (x + 0.15, y + 0.34), (x + 0.12, y + 0.06), (x - 0.13, y + 0.06))
        pen.solid(sack, 0.1, palette.accent)
    if bicycle.basket:
        draw_basket(pen, (bicycle.head[0] + 0.08, bicycle.head[1] - 0.02), palette)


def draw_basket(pen: Pen, corner: Point, palette: Palette) -> None:
    x, y = corner
    rim, base = ((x, y + 0.24), (x + 0.36, y + 0.24)), ((x + 0.03, y), (x + 0.31, y))
    for z in (-0.16, 0.16):
        for level in (0.0, 0.34, 0.67, 1.0):
            line = np.array(base) * (1 - level) + np.array(rim) * level
            pen.stroke(at(line, z), 0.018, palette.accent, floor=0.4)
        for along in (0.0, 0.33, 0.67, 1.0):
            post = [np.array(edge[0]) * (1 - along) + np.array(edge[1]) * along for edge in (base, rim)]
            pen.stroke(at(post, z), 0.014, palette.accent, floor=0.3)
