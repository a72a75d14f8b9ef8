"""A pen that draws three-dimensional shapes, given in metres, onto a Pillow image.

The world is right-handed: x forward along the vehicle, y up, z towards the viewer; the ground is y = 0.
Solids are stacks of slices along z, drawn far to near, which makes them round and gives them a side for free.
Whatever is drawn is rounded to whole pixels of a canvas larger than the picture, so the last bit of a sine
does not matter and the same numbers give the same picture on another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ImageDraw

Colour = tuple[int, int, int]
Array = NDArray[np.float64]
DISTANCE = 7.0  # metres from the camera to the vehicle: a mild perspective


@dataclass(frozen=True)
class Camera:
    """`matrix` (3, 3) maps metres to pixels right, pixels down and metres towards the viewer."""

    matrix: Array
    centre: tuple[float, float]  # pixels: where the world's origin is seen

    @cached_property
    def homogeneous(self) -> Array:
        """(3, 3) from metres; with `middle` added, pixels are the first two columns over the third."""
        farness = -self.matrix[2] / DISTANCE
        return np.column_stack(
            [self.matrix[axis] + self.centre[axis] * farness for axis in (0, 1)] + [farness]
        )

    @cached_property
    def middle(self) -> Array:
        return np.array([*self.centre, 1.0])

    def project(self, points: ArrayLike) -> Array:
        """(n, 3) metres to (n, 2) pixels."""
        seen = np.asarray(points, dtype=float) @ self.homogeneous + self.middle
        flat: Array = seen[:, :2] / seen[:, 2:]
        return flat


def turn(yaw: float, pitch: float, roll: float) -> Array:
    """The rotation (3, 3), angles in radians, with pixels' y already pointing down."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(np.diag([1.0, -1.0, 1.0]) @ about_z @ about_x @ about_y)


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1; above 1 moves towards white (2 is white)."""
    if factor <= 1:
        return (int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor))
    white = min(factor - 1, 1)
    red, green, blue = (int(c + (255 - c) * white) for c in colour)
    return (red, green, blue)


@cache
def circle(corners: int) -> Array:
    """Unit circle as (corners, 2)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


@cache
def loop(corners: int) -> Array:
    """The circle, closed: (corners + 1, 2)."""
    return np.concatenate([circle(corners), circle(corners)[:1]])


@cache
def slices(count: int) -> tuple[tuple[float, float], ...]:
    """(position, bulge) from -1 to 1; bulge is 0 at a solid's cheeks and 1 in its middle."""
    if count == 1:
        return ((0.0, 1.0),)
    return tuple((t, float(np.sqrt(1 - t * t))) for t in np.linspace(-1, 1, count).tolist())


def smooth(outline: ArrayLike, rounds: int = 2) -> Array:
    """Chaikin's corner cutting of a closed outline (n, 2)."""
    points = np.asarray(outline, dtype=float)
    for _ in range(rounds):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def shift(points: ArrayLike, *by: float) -> Array:
    """Points (n, k), or one of them (k), moved by k numbers."""
    moved: Array = np.asarray(points, dtype=float) + np.array(by)
    return moved


def at(points: Sequence[ArrayLike] | Array, z: float) -> Array:
    """(n, 2) points of a profile, put at lateral position z: (n, 3)."""
    solid = np.empty((len(points), 3))
    solid[:, :2] = np.asarray(points, dtype=float)
    solid[:, 2] = z
    return solid


@dataclass(frozen=True)
class Pen:
    """Draws with `camera`; `grain` is the canvas pixels per pixel of the picture; `ink` overrides colours."""

    draw: ImageDraw.ImageDraw
    camera: Camera
    scale: float  # canvas pixels per metre
    grain: float
    ink: int | None = None

    @cached_property
    def corners(self) -> int:
        """Corners that make a wheel look round at this scale."""
        return int(min(96, max(28, self.scale / 6)))

    def polygon(self, points: ArrayLike, colour: Colour) -> None:
        """Fill a polygon (n, 3)."""
        pixels = np.rint(self.camera.project(points)).ravel().tolist()
        self.draw.polygon(pixels, fill=colour if self.ink is None else self.ink)

    def stroke(self, points: ArrayLike, width: float, colour: Colour, floor: float = 0.6) -> None:
        """A polyline (n, 3) of `width` metres, but at least `floor` pixels of the picture; round ends."""
        pixels = np.rint(self.camera.project(points)).ravel().tolist()
        fill = colour if self.ink is None else self.ink
        thick = round(max(width * self.scale, floor * self.grain, 1))
        self.draw.line(pixels, fill=fill, width=thick, joint="curve" if thick > 4 else None)
        if thick > 3:
            radius = thick / 2 - 0.5
            for x, y in (pixels[:2], pixels[-2:]):
                self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def tube(self, points: ArrayLike, width: float, colour: Colour, floor: float = 0.8) -> None:
        """A stroke with a bright upper edge, where there are pixels enough to see one."""
        self.stroke(points, width, colour, floor)
        if self.ink is None and width * self.scale > 7:
            lit = shift(points, 0, 0.2 * width, 0)
            self.stroke(lit, width * 0.3, shade(colour, 1.35), 0)

    def fan(self, starts: Array, ends: Array, width: float, colour: Colour) -> None:
        """Many separate hairlines at once, (n, 3) to (n, 3): spokes."""
        if self.ink is not None and width * self.scale < 0.5:
            return
        pixels = np.rint(np.concatenate([self.camera.project(starts), self.camera.project(ends)], axis=1))
        thick = round(max(width * self.scale, 1))
        for line in pixels.tolist():
            self.draw.line(line, fill=colour if self.ink is None else self.ink, width=thick)

    def ring(
        self, hub: tuple[float, float], outer: float, inner: float, colour: Colour, z: float = 0
    ) -> None:
        """An annulus in the wheel's plane, at least 0.6 pixels of the picture thick; a disc if inner is 0."""
        if inner > 0:
            inner = min(inner, outer - 0.6 * self.grain / self.scale)
        edge = loop(self.corners)
        rim = outer * edge if inner <= 0 else np.concatenate([outer * edge, inner * edge[::-1]])
        self.polygon(at(rim + hub, z), colour)

    @cached_property
    def sideways(self) -> float:
        """Canvas pixels that a metre towards the viewer moves a point."""
        return float(np.linalg.norm(self.camera.matrix[:2, 2]))

    def depths(self, half: float) -> tuple[tuple[float, float], ...]:
        """(z / half, bulge) of the slices of a solid, far to near; a shadow needs but one."""
        return slices(1 if self.ink is not None else int(min(16, max(2, self.sideways * half / self.grain))))

    def tyre(self, hub: tuple[float, float], outer: float, inner: float, half: float, colour: Colour) -> None:
        """A fat tyre: a stack of rings, rounded towards its cheeks."""
        for near, bulge in self.depths(half):
            tread = outer - (1 - bulge) * 0.35 * (outer - inner)
            self.ring(hub, tread, inner, shade(colour, 0.8 if near < 0 else 1.0 + 0.1 * near), near * half)

    def solid(self, outline: ArrayLike, half: float, colour: Colour) -> None:
        """A rounded body of `half` metres to either side of the profile `outline` (n, 2), lit from above."""
        flat = np.asarray(outline, dtype=float)
        middle = flat.mean(axis=0)
        for near, bulge in self.depths(half):
            slim = middle + (flat - middle) * (0.86 + 0.14 * bulge)
            self.polygon(at(slim, near * half), shade(colour, 0.82 + 0.18 * max(near, 0)))
        if self.ink is None:
            crown = middle + (flat - middle) * (0.62, 0.42) + (0, 0.24 * float(np.ptp(flat[:, 1])))
            self.polygon(at(crown, half), shade(colour, 1.22))
