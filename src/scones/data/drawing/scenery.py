"""What is behind a vehicle: ground, backdrop and clutter, drawn without knowing which vehicle it will be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from scones.data.drawing.chance import between, chance, pick, tint
from scones.data.drawing.pen import Colour, shade, smooth

Pixels = NDArray[np.float32]
PLACES = (
    "street",
    "street",
    "wall",
    "bricks",
    "park",
    "park",
    "countryside",
    "beach",
    "garage",
    "studio",
    "studio",
    "studio",
    "studio",
)
GREEN, EARTH, BLUE = (0.2, 0.38), (0.05, 0.14), (0.52, 0.66)


@dataclass(frozen=True)
class Place:
    """Colours and lines of a place; lengths as fractions of the picture's side, from its top left."""

    kind: str
    above: tuple[Colour, Colour]  # from the top of the picture to the horizon
    ground: tuple[Colour, Colour]  # from the horizon to the bottom
    horizon: float
    slope: float  # rise of the horizon per unit of width
    roughness: float
    clutter: int
    softness: float  # blur of what is far, as a fraction of the side


def sample_place(rng: Generator, contact: float, roll: float) -> Place:
    """A place whose horizon lies above `contact`, the height at which wheels touch the ground."""
    kind = pick(rng, PLACES)
    above, ground = sample_colours(rng, kind)
    return Place(
        kind=kind,
        above=above,
        ground=ground,
        horizon=contact - between(rng, 0.02, 0.34),
        slope=float(np.tan(roll)),
        roughness=0.0 if kind == "studio" else between(rng, 0.04, 0.2),
        clutter=0 if kind == "studio" and chance(rng, 0.8) else int(between(rng, 0, 6)),
        softness=between(rng, 0.0, 0.02),
    )


def sample_colours(rng: Generator, kind: str) -> tuple[tuple[Colour, Colour], tuple[Colour, Colour]]:
    """(above, ground), each a gradient from top to bottom."""
    asphalt = tint(rng, saturation=(0, 0.12), value=(0.35, 0.75))
    grass = tint(rng, GREEN, (0.2, 0.55), (0.4, 0.75))
    sand = tint(rng, EARTH, (0.15, 0.5), (0.5, 0.9))
    sky = tint(rng, BLUE, (0.05, 0.55), (0.7, 1))
    flat = (
        tint(rng, saturation=(0, 0.08), value=(0.85, 1))
        if chance(rng, 0.7)
        else tint(rng, saturation=(0.1, 0.6), value=(0.35, 0.9))
    )
    wall = tint(rng, pick(rng, (EARTH, EARTH, BLUE, (0, 1))), (0.03, 0.4), (0.5, 0.98))
    above, ground = {
        "street": (shade(wall, 0.9), asphalt),
        "wall": (wall, pick(rng, (asphalt, sand))),
        "bricks": (tint(rng, (0, 0.08), (0.2, 0.6), (0.4, 0.8)), pick(rng, (asphalt, grass))),
        "park": (tint(rng, GREEN, (0.15, 0.5), (0.4, 0.85)), pick(rng, (grass, grass, sand, asphalt))),
        "countryside": (sky, pick(rng, (grass, asphalt, sand))),
        "beach": (sky, sand),
        "studio": (flat, shade(flat, between(rng, 0.8, 1))),
        "garage": (tint(rng, saturation=(0, 0.3), value=(0.3, 0.6)), asphalt),
    }[kind]
    return (shade(above, between(rng, 0.85, 1)), shade(above, between(rng, 1, 1.25))), (
        shade(ground, between(rng, 0.9, 1.1)),
        shade(ground, between(rng, 0.75, 1.1)),
    )


def draw_place(place: Place, rng: Generator, side: int) -> Image.Image:
    """The empty place, as an RGB image of `side` pixels."""
    image = Image.fromarray(gradients(place, side))
    draw = ImageDraw.Draw(image)
    draw_backdrop(draw, place, rng, side)
    for _ in range(place.clutter):
        draw_thing(draw, place, rng, side)
    draw_ground(draw, place, rng, side)
    if place.roughness:
        image = roughen(image, place, rng)
    return image.filter(ImageFilter.GaussianBlur(place.softness * side))


def gradients(place: Place, side: int) -> NDArray[np.uint8]:
    """(side, side, 3): the two gradients, met at a slanting horizon."""
    across = (np.arange(side, dtype=np.float32) + 0.5) / side
    edge = place.horizon - place.slope * (across - 0.5)
    down = across[:, None] - edge[None, :]
    t_above = np.clip(1 + down / max(place.horizon, 0.1), 0, 1)[..., None]
    t_ground = np.clip(down / max(1 - place.horizon, 0.1), 0, 1)[..., None]
    top, low = (np.array(pair, dtype=np.float32) for pair in (place.above, place.ground))
    picture = np.where(
        down[..., None] < 0, top[0] + (top[1] - top[0]) * t_above, low[0] + (low[1] - low[0]) * t_ground
    )
    return np.asarray(picture, dtype=np.uint8)


def roughen(image: Image.Image, place: Place, rng: Generator) -> Image.Image:
    """Multiply by smooth random mottling, fine and coarse."""
    gain = np.ones((image.height, image.width), dtype=np.float32)
    for cells in (7, 29):
        gain += np.float32(place.roughness / 128) * (mottle(rng, cells, image.size) - np.float32(128))
    return Image.fromarray(np.clip(np.asarray(image) * gain[..., None], 0, 255).astype(np.uint8))


def mottle(rng: Generator, cells: int, size: tuple[int, int]) -> Pixels:
    """(height, width) smooth noise 0..255 of this many cells a side; Pillow resizes bytes exactly."""
    dots = Image.fromarray((rng.random((cells, cells)) * 256).astype(np.uint8))
    return np.asarray(dots.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)


def level(place: Place, u: float) -> float:
    """The horizon's height at u, a fraction of the width."""
    return place.horizon - place.slope * (u - 0.5)


def fill(draw: ImageDraw.ImageDraw, side: int, points: object, colour: Colour) -> None:
    """A polygon whose corners are fractions of the side."""
    draw.polygon(np.rint(np.asarray(points, dtype=float) * side).ravel().tolist(), fill=colour)


def draw_backdrop(draw: ImageDraw.ImageDraw, place: Place, rng: Generator, side: int) -> None:
    """What the place is known by."""
    if place.kind in ("bricks", "wall", "garage"):
        draw_courses(draw, place, rng, side)
    elif place.kind in ("park", "countryside"):
        draw_foliage(draw, place, rng, side)
    elif place.kind == "street":
        draw_windows(draw, place, rng, side)
    elif place.kind == "beach":
        sea = tint(rng, BLUE, (0.2, 0.6), (0.4, 0.8))
        high = between(rng, 0.03, 0.15)
        left, right = level(place, 0), level(place, 1)
        fill(draw, side, ((0, left - high), (1, right - high), (1, right), (0, left)), sea)


def draw_courses(draw: ImageDraw.ImageDraw, place: Place, rng: Generator, side: int) -> None:
    """Rows of bricks, or the planks and slabs of a wall."""
    row = between(rng, 0.04, 0.09) if place.kind == "bricks" else between(rng, 0.12, 0.3)
    joint = shade(place.above[1], pick(rng, (0.7, 0.8, 1.2)))
    width = max(1, round(side * 0.006))
    upright = place.kind != "bricks" and chance(rng, 0.5)
    for i in range(1, int(1.3 / row)):
        if upright:
            draw.line(
                (i * row * side, 0, i * row * side, level(place, i * row) * side), fill=joint, width=width
            )
            continue
        y = place.horizon - i * row
        left, right = y + place.slope * 0.5, y - place.slope * 0.5
        draw.line((0, left * side, side, right * side), fill=joint, width=width)
        for x in np.arange((i % 2) * row, 1, row * 2.2) if place.kind == "bricks" else ():
            draw.line((x * side, y * side, x * side, (y + row) * side), fill=joint, width=width)


def draw_foliage(draw: ImageDraw.ImageDraw, place: Place, rng: Generator, side: int) -> None:
    """A row of bushes and trees of one green, standing on the horizon."""
    green = tint(rng, GREEN, (0.25, 0.6), (0.25, 0.65))
    for _ in range(int(between(rng, 6, 16))):
        x, radius = between(rng, -0.05, 1.05), between(rng, 0.04, 0.16)
        y = level(place, x) - radius * between(rng, 0.2, 2.5 if place.kind == "park" else 0.7)
        box = [(x - radius) * side, (y - radius) * side, (x + radius) * side, (y + radius) * side]
        draw.ellipse(box, fill=shade(green, between(rng, 0.75, 1.2)))


def draw_windows(draw: ImageDraw.ImageDraw, place: Place, rng: Generator, side: int) -> None:
    """A house front: windows and doors in a grid, each lit differently."""
    width, height = between(rng, 0.1, 0.2), between(rng, 0.12, 0.28)
    gap, base = between(rng, 0.05, 0.14), between(rng, 0.02, 0.14)
    glass = tint(rng, BLUE, (0, 0.3), (0.2, 0.8))
    for column in range(int(1.1 / (width + gap))):
        for row in range(3):
            x, y = gap / 2 + column * (width + gap), place.horizon - base - row * (height + gap)
            y -= place.slope * (x - 0.5)
            pane = ((x, y - height), (x + width, y - height), (x + width, y), (x, y))
            fill(draw, side, pane, shade(glass, between(rng, 0.7, 1.2)))


def draw_ground(draw: ImageDraw.ImageDraw, place: Place, rng: Generator, side: int) -> None:
    """Kerb, road markings or the foot of the wall."""
    if place.kind == "studio" or chance(rng, 0.35):
        return
    down, thick = between(rng, 0.0, 0.3), between(rng, 0.006, 0.03)
    tilt = place.slope + between(rng, -0.08, 0.08)
    left, right = place.horizon + down + tilt * 0.5, place.horizon + down - tilt * 0.5
    colour = shade(place.ground[1], pick(rng, (0.7, 1.3, 1.7)))
    if left > level(place, 0) - 0.01 and right > level(place, 1) - 0.01:
        fill(draw, side, ((0, left), (1, right), (1, right + thick), (0, left + thick)), colour)


def draw_thing(draw: ImageDraw.ImageDraw, place: Place, rng: Generator, side: int) -> None:
    """A post, box, ball of leaves, sign, car-like hump or dark doorway in the background."""
    x, colour = between(rng, 0, 1), tint(rng, saturation=(0, 0.65), value=(0.12, 0.9))
    foot = level(place, x) + between(rng, -0.02, 0.06)
    shape = pick(rng, ("post", "box", "ball", "sign", "hump", "door"))
    if shape in ("post", "sign"):
        half, high = between(rng, 0.006, 0.02), between(rng, 0.2, 0.8)
        fill(
            draw,
            side,
            ((x - half, foot - high), (x + half, foot - high), (x + half, foot), (x - half, foot)),
            colour,
        )
    if shape in ("box", "door"):
        half, high = between(rng, 0.05, 0.16), between(rng, 0.1, 0.5 if shape == "door" else 0.25)
        fill(
            draw,
            side,
            ((x - half, foot - high), (x + half, foot - high), (x + half, foot), (x - half, foot)),
            colour,
        )
    if shape in ("ball", "sign"):
        radius = between(rng, 0.03, 0.12)
        y = foot - radius if shape == "ball" else foot - high
        draw.ellipse(
            [(x - radius) * side, (y - radius) * side, (x + radius) * side, (y + radius) * side], fill=colour
        )
    if shape == "hump":
        half, high = between(rng, 0.12, 0.3), between(rng, 0.1, 0.2)
        outline = np.array(
            ((-1, 0), (-1, 0.5), (-0.6, 0.6), (-0.4, 1), (0.4, 1), (0.6, 0.6), (1, 0.5), (1, 0))
        )
        fill(draw, side, smooth(outline * (half, -high) + (x, foot), 1), colour)
