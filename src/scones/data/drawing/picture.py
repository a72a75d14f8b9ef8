"""A picture: a scene drawn from the seed alone, a vehicle put into it, and the camera's exposure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from scones.data.drawing.bicycle import Bicycle, draw_bicycle, sample_bicycle
from scones.data.drawing.chance import between, chance
from scones.data.drawing.corruption import grains, to_image
from scones.data.drawing.motorcycle import Motorcycle, sample_motorcycle
from scones.data.drawing.motorcycle_parts import draw_motorcycle
from scones.data.drawing.palette import Palette, sample_palette
from scones.data.drawing.pen import Camera, Pen, circle, turn
from scones.data.drawing.rider import draw_far_limbs, draw_rider
from scones.data.drawing.scenery import Place, draw_place, sample_place
from scones.errors import UsageError

SAMPLE_CLASSES = ("bicycle", "motorcycle")
SIZES = (16, 4096)
COARSE = 512  # pixels: places and shadows are soft, and drawn no finer


@dataclass(frozen=True)
class Scene:
    """Everything about a picture that does not depend on which vehicle is in it."""

    place: Place
    palette: Palette
    contact: tuple[float, float]  # fractions of the side: where the vehicle stands
    width: float  # fraction of the side that the vehicle fills
    angles: tuple[float, float, float]  # yaw, pitch, roll in radians
    mirrored: bool
    ridden: bool
    sun: tuple[float, float]  # metres of shadow forward and towards the viewer per metre of height
    shadow: float  # 0 none .. 1 black


def sample_scene(rng: Generator) -> Scene:
    roll = between(rng, -0.17, 0.17)
    ridden = chance(rng, 0.45)
    width = between(rng, 0.74, 1.0)
    slack = 0.05 + 0.4 * (1 - width)
    contact = (
        between(rng, 0.5 - slack, 0.5 + slack),
        between(rng, 0.86 if ridden else 0.28 + 0.5 * width, 0.95),
    )
    place = sample_place(rng, contact[1], roll)
    return Scene(
        place=place,
        palette=sample_palette(rng, (*place.above, *place.ground)),
        contact=contact,
        width=width,
        angles=(between(rng, -0.85, 0.85) * float(rng.random()), between(rng, 0.02, 0.3), roll),
        mirrored=chance(rng, 0.5),
        ridden=ridden,
        sun=(between(rng, -0.9, 0.9), between(rng, -0.7, 0.7)),
        shadow=between(rng, 0.25, 0.65),
    )


def draw_image(name: str, seed: int, size: int = 32) -> Image.Image:
    """Draw the picture of one two-wheeler.

    `name` is one of SAMPLE_CLASSES, `seed` any integer from 0, `size` the side in pixels (16 to 4096).
    Returns a square RGB image, the same on every machine. Raises UsageError for other arguments.
    """
    check_arguments(name, seed, size)
    scene_rng, vehicle_rng, light_rng = (np.random.default_rng([seed, stream]) for stream in range(3))
    scene = sample_scene(scene_rng)
    vehicle = sample_bicycle(vehicle_rng) if name == "bicycle" else sample_motorcycle(vehicle_rng)
    grain = 4 if size <= 64 else 3 if size <= 256 else 2
    side = size * grain
    place = draw_place(scene.place, scene_rng, min(side // 2, COARSE))
    canvas = place.resize((side, side), Image.Resampling.BILINEAR)
    camera, scale = fit_camera(scene, vehicle, side)
    pen = Pen(ImageDraw.Draw(canvas), camera, scale, grain)
    cast_shadow(canvas, pen, scene, vehicle)
    draw_vehicle(pen, scene, vehicle)
    return expose(canvas.reduce(grain), light_rng)


def check_arguments(name: str, seed: int, size: int) -> None:
    if name not in SAMPLE_CLASSES:
        raise UsageError(f"No class {name!r} can be drawn.", f"Choose one of {', '.join(SAMPLE_CLASSES)}.")
    if seed < 0:
        raise UsageError(f"The seed {seed} is negative.", "Give an integer from 0.")
    if not SIZES[0] <= size <= SIZES[1]:
        raise UsageError(
            f"A picture of {size} pixels cannot be drawn.", f"Choose a size from {SIZES[0]} to {SIZES[1]}."
        )


def fit_camera(scene: Scene, vehicle: Bicycle | Motorcycle, side: int) -> tuple[Camera, float]:
    """The camera, and its pixels per metre, at which the vehicle fills the scene's width, below its top."""
    back, front, top = vehicle.extent
    top = max(top, vehicle.posture.top) if scene.ridden else top
    spin = turn(*scene.angles)
    corners = [(x, y, z) for x in (back, front) for y in (0, top) for z in (-0.15, 0.15)]
    box = Camera(spin, (0, 0)).project(corners)
    scale = side * min(scene.width / np.ptp(box[:, 0]), (scene.contact[1] - 0.03) / -box[:, 1].min())
    flip = np.diag([-scale if scene.mirrored else scale, scale, 1.0])
    middle = (box[:, 0].min() + box[:, 0].max()) / 2 * flip[0, 0]
    return Camera(flip @ spin, (scene.contact[0] * side - middle, scene.contact[1] * side)), float(scale)


def cast_shadow(canvas: Image.Image, pen: Pen, scene: Scene, vehicle: Bicycle | Motorcycle) -> None:
    """Darken the ground where the vehicle stands in the sun's way, more coarsely than the pen draws."""
    side = min(canvas.width // 2, COARSE)
    part = side / canvas.width
    flatten = np.array([[1, scene.sun[0], 0], [0, 0, 0], [0, scene.sun[1], 1]])
    x, y = pen.camera.centre
    lens = Camera(np.diag([part, part, 1.0]) @ pen.camera.matrix @ flatten, (x * part, y * part))
    mask = Image.new("L", (side, side))
    ink = round(255 * scene.shadow)
    shade = Pen(ImageDraw.Draw(mask), lens, pen.scale * part, pen.grain * part, ink)
    draw_vehicle(shade, scene, vehicle)
    for x, _ in (vehicle.rear, vehicle.front):  # light never reaches where a tyre touches the ground
        spot = [(x + 0.15 * along, 0.0, 0.05 * across) for along, across in circle(24).tolist()]
        shade.polygon(spot, (0, 0, 0))
    mask = mask.filter(ImageFilter.GaussianBlur(side * 0.008)).resize(canvas.size, Image.Resampling.BILINEAR)
    canvas.paste((0, 0, 0), mask=mask)


def draw_vehicle(pen: Pen, scene: Scene, vehicle: Bicycle | Motorcycle) -> None:
    """The vehicle, and its rider about it."""
    if scene.ridden:
        draw_far_limbs(pen, vehicle.posture, scene.palette)
    if isinstance(vehicle, Bicycle):
        draw_bicycle(pen, vehicle, scene.palette)
    else:
        draw_motorcycle(pen, vehicle, scene.palette)
    if scene.ridden:
        draw_rider(pen, vehicle.posture, scene.palette)


def expose(image: Image.Image, rng: Generator) -> Image.Image:
    """What the camera adds: defocus, uneven light, exposure, colour cast, contrast and noise."""
    blur = between(rng, 0, 0.013) if chance(rng, 0.35) else 0.0
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur * image.width))
    # One value per level of the input: a power's last bit, on which machines disagree, is rounded away.
    curve = np.round((np.arange(256) / 255) ** between(rng, 0.8, 1.3), 6).astype(np.float32)
    across = np.linspace(-0.5, 0.5, image.width, dtype=np.float32)
    light = 1 + between(rng, -0.25, 0.25) * across[None, :] + between(rng, -0.25, 0.25) * across[:, None]
    cast = np.array([between(rng, 0.93, 1.07) for _ in range(3)], dtype=np.float32)
    pixels = curve[np.asarray(image)] * (light[..., None] * cast * between(rng, 0.8, 1.2))
    pixels = pixels * (1 - (haze := between(rng, 0, 0.15))) + haze * between(rng, 0.4, 1)
    noise = between(rng, 0, 0.03) + (between(rng, 0, 0.03) if chance(rng, 0.2) else 0)
    pixels += noise * grains(rng, (image.height, image.width, 3))
    return to_image(pixels)
