"""What spoils a picture: for out-of-distribution scores, drift and load of later steps.

The kinds follow Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations" (2019); to them come pictures that show no two-wheeler at all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from scones.data.drawing.chance import between, chance, pick, tint
from scones.data.drawing.pen import circle, shade, smooth
from scones.data.drawing.scenery import draw_place, fill, mottle, sample_place
from scones.errors import UsageError

Pixels = NDArray[np.float32]


def corrupt(image: Image.Image, kind: str, severity: float, seed: int) -> Image.Image:
    """Spoil a picture of any size and mode; returns RGB of the same size.

    `kind` is one of CORRUPTIONS. `severity` is from 0 (nothing changes) to 1 (beyond recognition but for
    `rotate`, which is then upside down). Deterministic by `seed`. Raises UsageError for other arguments.
    """
    if kind not in CORRUPTIONS:
        raise UsageError(f"There is no corruption {kind!r}.", f"Choose one of {', '.join(CORRUPTIONS)}.")
    if not 0 <= severity <= 1:
        raise UsageError(f"A severity of {severity} makes no sense.", "Give a number from 0 to 1.")
    if seed < 0:
        raise UsageError(f"The seed {seed} is negative.", "Give an integer from 0.")
    picture = image.convert("RGB")
    return CORRUPTIONS[kind](picture, severity, np.random.default_rng(seed)) if severity else picture


def to_pixels(image: Image.Image) -> Pixels:
    """(height, width, 3), 0..1."""
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def to_image(pixels: Pixels) -> Image.Image:
    """From 0..1; what is outside is cut off."""
    return Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))


def darken(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Too little light: down to 4 % of it, with the sensor noise that comes with it."""
    pixels = to_pixels(image) * (1 - 0.96 * severity)
    return to_image(pixels + 0.02 * severity * grains(rng, pixels.shape))


def brighten(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Overexposed: four times the light, most of it burnt out."""
    return to_image(to_pixels(image) * (1 + 3 * severity) + 0.25 * severity)


def add_noise(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Sensor noise, up to a deviation of half the range."""
    pixels = to_pixels(image)
    return to_image(pixels + 0.5 * severity * grains(rng, pixels.shape))


def blur(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Out of focus, up to a radius of a tenth of the shorter side."""
    return image.filter(ImageFilter.GaussianBlur(0.1 * severity * min(image.size)))


def add_fog(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Drifting white, thicker in some places than in others."""
    banks = mottle(rng, 5, image.size)[..., None] / np.float32(255)
    veil = np.float32(severity) * (np.float32(0.75) + np.float32(0.25) * banks)
    return to_image(to_pixels(image) * (1 - veil) + np.float32(0.88) * veil)


def rotate(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """A camera held askew, up to upside down; corners continue the picture's edge."""
    angle = 180 * severity * (1 if chance(rng, 0.5) else -1)
    margin = max(image.size) // 2
    wide = Image.fromarray(
        np.pad(np.asarray(image), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    )
    turned = wide.rotate(angle, Image.Resampling.BILINEAR)
    return turned.crop((margin, margin, margin + image.width, margin + image.height))


def replace_by_unrelated(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Fade into a picture without a two-wheeler."""
    return Image.blend(image, draw_unrelated(rng, max(image.size)).resize(image.size), severity)


def replace_by_blank(image: Image.Image, severity: float, rng: Generator) -> Image.Image:
    """Fade into one flat colour: a covered lens."""
    return Image.blend(image, Image.new("RGB", image.size, tint(rng, saturation=(0, 0.5))), severity)


def draw_unrelated(rng: Generator, side: int) -> Image.Image:
    """A scone, parcel, tree, house or lorry in one of the places where the vehicles are drawn."""
    contact, detail = between(rng, 0.8, 0.92), max(2, min(4, 512 // side))
    canvas = draw_place(sample_place(rng, contact, between(rng, -0.1, 0.1)), rng, side).resize(
        (side * detail,) * 2
    )
    thing = pick(rng, (draw_scone, draw_parcel, draw_tree, draw_house, draw_lorry))
    thing(ImageDraw.Draw(canvas), rng, side * detail, contact)
    return canvas.resize((side, side), Image.Resampling.BOX)


def draw_scone(draw: ImageDraw.ImageDraw, rng: Generator, side: int, foot: float) -> None:
    """On a plate, with raisins."""
    crust = tint(rng, (0.07, 0.11), (0.45, 0.7), (0.7, 0.95))
    wide, high = between(rng, 0.22, 0.34), between(rng, 0.22, 0.34)
    fill(draw, side, circle(48) * (wide + 0.12, 0.06) + (0.5, foot - 0.03), (236, 236, 230))
    outline = np.array(((-1, 0), (-0.92, 0.55), (-0.75, 0.9), (0, 1.05), (0.75, 0.9), (0.92, 0.55), (1, 0)))
    fill(draw, side, smooth(outline * (wide, -high) + (0.5, foot - 0.03)), crust)
    fill(
        draw,
        side,
        smooth(outline * (wide * 0.94, -high * 0.45) + (0.5, foot - 0.03 - high * 0.5)),
        shade(crust, 0.8),
    )
    for _ in range(int(between(rng, 4, 9))):
        spot = (0.5 + between(rng, -0.7, 0.7) * wide, foot - 0.03 - between(rng, 0.15, 0.85) * high)
        fill(draw, side, circle(12) * 0.016 + spot, (58, 32, 28))


def draw_parcel(draw: ImageDraw.ImageDraw, rng: Generator, side: int, foot: float) -> None:
    """A cardboard box with tape."""
    card = tint(rng, (0.07, 0.1), (0.3, 0.5), (0.55, 0.8))
    half, high, lid = between(rng, 0.2, 0.34), between(rng, 0.26, 0.45), between(rng, 0.06, 0.14)
    top = foot - high
    fill(draw, side, ((0.5 - half, top), (0.5 + half, top), (0.5 + half, foot), (0.5 - half, foot)), card)
    back = (
        (0.5 - half * 0.7, top - lid),
        (0.5 + half * 0.9, top - lid),
        (0.5 + half, top),
        (0.5 - half, top),
    )
    fill(draw, side, back, shade(card, 1.2))
    fill(
        draw,
        side,
        ((0.47, top), (0.53, top), (0.53, top + high * 0.4), (0.47, top + high * 0.4)),
        shade(card, 0.7),
    )


def draw_tree(draw: ImageDraw.ImageDraw, rng: Generator, side: int, foot: float) -> None:
    """A trunk and a crown of many leafy balls."""
    leaf = tint(rng, (0.2, 0.38), (0.4, 0.75), (0.3, 0.6))
    trunk = between(rng, 0.03, 0.05)
    fill(
        draw,
        side,
        ((0.5 - trunk, foot), (0.5 + trunk, foot), (0.5 + trunk / 2, 0.4), (0.5 - trunk / 2, 0.4)),
        (92, 66, 44),
    )
    for _ in range(14):
        spot = (0.5 + between(rng, -0.24, 0.24), 0.34 + between(rng, -0.2, 0.16))
        fill(draw, side, circle(24) * between(rng, 0.08, 0.15) + spot, shade(leaf, between(rng, 0.75, 1.2)))


def draw_house(draw: ImageDraw.ImageDraw, rng: Generator, side: int, foot: float) -> None:
    """A gable, a door and two windows."""
    wall = tint(rng, saturation=(0.05, 0.5), value=(0.6, 1))
    half, high = between(rng, 0.22, 0.34), between(rng, 0.28, 0.4)
    eaves = foot - high
    fill(draw, side, ((0.5 - half, eaves), (0.5 + half, eaves), (0.5 + half, foot), (0.5 - half, foot)), wall)
    fill(
        draw,
        side,
        ((0.44 - half, eaves), (0.56 + half, eaves), (0.5, eaves - half * 0.8)),
        tint(rng, (0, 0.06), (0.4, 0.8), (0.4, 0.7)),
    )
    fill(
        draw,
        side,
        ((0.45, foot - high * 0.6), (0.55, foot - high * 0.6), (0.55, foot), (0.45, foot)),
        shade(wall, 0.45),
    )
    for x in (0.5 - half * 0.6, 0.5 + half * 0.6):
        y = foot - high * 0.5
        fill(
            draw,
            side,
            ((x - 0.05, y - 0.1), (x + 0.05, y - 0.1), (x + 0.05, y), (x - 0.05, y)),
            (200, 222, 235),
        )


def draw_lorry(draw: ImageDraw.ImageDraw, rng: Generator, side: int, foot: float) -> None:
    """A delivery van: a box, a cab and two wheels under them."""
    body = tint(rng, saturation=(0.1, 0.9), value=(0.5, 1))
    high = between(rng, 0.34, 0.46)
    fill(
        draw, side, ((0.08, foot - high), (0.64, foot - high), (0.64, foot - 0.07), (0.08, foot - 0.07)), body
    )
    cab = (
        (0.66, foot - 0.07),
        (0.66, foot - high * 0.8),
        (0.8, foot - high * 0.8),
        (0.9, foot - high * 0.4),
        (0.92, foot - 0.07),
    )
    fill(draw, side, cab, shade(body, 0.85))
    glass = (
        (0.7, foot - high * 0.72),
        (0.79, foot - high * 0.72),
        (0.86, foot - high * 0.42),
        (0.7, foot - high * 0.42),
    )
    fill(draw, side, glass, (190, 212, 224))
    for x in (0.24, 0.76):
        fill(draw, side, circle(32) * 0.08 + (x, foot - 0.07), (24, 24, 26))
        fill(draw, side, circle(24) * 0.035 + (x, foot - 0.07), (170, 170, 172))


def grains(rng: Generator, shape: tuple[int, ...]) -> Pixels:
    """Noise of mean 0 and deviation 1; uniform, which is quick and which the eye cannot tell from normal."""
    noise: Pixels = (rng.random(shape, dtype=np.float32) - np.float32(0.5)) * np.float32(12**0.5)
    return noise


CORRUPTIONS: dict[str, Callable[[Image.Image, float, Generator], Image.Image]] = {
    "dark": darken,
    "bright": brighten,
    "noise": add_noise,
    "blur": blur,
    "fog": add_fog,
    "rotate": rotate,
    "unrelated": replace_by_unrelated,
    "blank": replace_by_blank,
}
