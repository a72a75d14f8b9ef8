"""Motorcycles' parts: fat wheels, an engine that fills the space between them, bodywork in a style's line."""

from __future__ import annotations

import numpy as np

from scones.data.drawing.motorcycle import CRUISER, ENDURO, SCOOTER, SPORT, Motorcycle, Point
from scones.data.drawing.palette import Palette
from scones.data.drawing.pen import Pen, at, circle, shade, shift, smooth

TAIL_LIGHT, HEADLIGHT = (190, 25, 20), (250, 244, 214)


def draw_motorcycle(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """From the far side to the near one."""
    draw_fork(pen, motorcycle, palette, -0.09)
    draw_wheel(pen, motorcycle, motorcycle.rear, palette)
    draw_wheel(pen, motorcycle, motorcycle.front, palette)
    draw_rear_mudguard(pen, motorcycle, palette)
    if motorcycle.style is SCOOTER:
        draw_footboard(pen, motorcycle, palette)
        draw_bodywork(pen, motorcycle, palette)
    else:
        draw_engine(pen, motorcycle, palette)
        draw_exhaust(pen, motorcycle, palette)
        draw_bodywork(pen, motorcycle, palette)
        draw_fork(pen, motorcycle, palette, 0.09)
    draw_front_mudguard(pen, motorcycle, palette)
    draw_lamp_and_screen(pen, motorcycle, palette)
    draw_bars(pen, motorcycle, palette)


def draw_wheel(pen: Pen, motorcycle: Motorcycle, hub: Point, palette: Palette) -> None:
    """Cast wheels have a few broad spokes, wire ones many thin; both carry a brake disc."""
    inner = motorcycle.wheel - motorcycle.tyre
    count = motorcycle.cast or 24
    turn = (np.arange(count) + motorcycle.phase) * 2 * np.pi / count
    way = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    pen.tyre(hub, motorcycle.wheel, inner, 0.06, palette.rubber)
    if motorcycle.cast:
        pen.ring(hub, inner + 0.01, 0, shade(palette.dark, 0.6))
    rim = shade(palette.metal, 0.62)
    width = 0.028 if motorcycle.cast else 0.005
    pen.fan(at(hub + 0.03 * way, 0.02), at(hub + inner * way, 0.02), width, rim)
    pen.ring(hub, inner + 0.008, inner - 0.012, rim, 0.02)
    pen.ring(hub, inner * 0.66, inner * 0.5, shade(palette.metal, 0.5), 0.05)
    pen.ring(hub, 0.04, 0, rim, 0.06)


def draw_fork(pen: Pen, motorcycle: Motorcycle, palette: Palette, z: float) -> None:
    """One leg of it; the near one is drawn last."""
    colour = shade(palette.metal, 0.75 if z < 0 else 1.0)
    pen.tube(at((motorcycle.front, motorcycle.head), z), 0.055, colour)
    middle = (np.array(motorcycle.front) + motorcycle.head) / 2
    pen.tube(at((motorcycle.front, middle), z), 0.075, shade(colour, 0.7))


def draw_engine(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """Swingarm, shock absorber, frame, crankcase and a finned cylinder leaning forward."""
    lift = 0.08 if motorcycle.style is ENDURO else 0.0
    x, y = motorcycle.head
    pen.tube(at((motorcycle.rear, (-0.15, 0.4 + lift)), 0.08), 0.06, palette.metal)
    pen.tube(at((motorcycle.rear, (-0.4, 0.74)), 0.06), 0.05, palette.dark)
    frame = ((x - 0.02, y - 0.12), (0.3, 0.3 + lift), (-0.2, 0.25 + lift))
    pen.stroke(at(frame, 0.05), 0.05, palette.dark)
    low = ((0.36, 0.27 + lift), (-0.24, 0.2 + lift), (-0.36, 0.36 + lift))
    pen.solid((*low, (-0.34, 0.74), (0.24, 0.78), (0.38, 0.66)), 0.13, shade(palette.dark, 0.75))
    draw_cylinder(pen, motorcycle.fins, palette)
    for centre, radius in (((-0.1, 0.4 + lift), 0.13), ((0.14, 0.38 + lift), 0.12)):
        pen.ring(centre, radius, 0, shade(palette.metal, 0.5), 0.16)
        pen.ring(centre, radius * 0.75, 0, shade(palette.metal, 0.7), 0.17)


def draw_cylinder(pen: Pen, fins: int, palette: Palette) -> None:
    block = np.array(((0.02, 0.5), (0.0, 0.72), (0.24, 0.72), (0.3, 0.5)))
    pen.solid(block, 0.15, shade(palette.metal, 0.45))
    for level in np.linspace(0.08, 0.92, fins).tolist():
        back, front = block[0] + level * (block[1] - block[0]), block[3] + level * (block[2] - block[3])
        pen.stroke(at((back, front), 0.16), 0.016, shade(palette.metal, 0.75), floor=0.25)


def draw_exhaust(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """From the cylinder's front down under the engine and back into a fat muffler."""
    muffler = motorcycle.place(motorcycle.style.muffler)
    pen.tube(at(motorcycle.place(motorcycle.style.pipe), 0.17), 0.05, shade(palette.metal, 0.8))
    pen.tube(at(muffler, 0.17), 0.1, shade(palette.metal, 0.8))
    if motorcycle.twin and motorcycle.style is CRUISER:
        pen.tube(at(shift(muffler, 0, 0.1), 0.17), 0.08, shade(palette.metal, 0.85))


def draw_footboard(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """A scooter's floor, and the muffler under its tail."""
    floor = motorcycle.place(((0.32, 0.36), (0.26, 0.24), (-0.3, 0.22), (-0.28, 0.34)))
    pen.tube(at(motorcycle.place(motorcycle.style.muffler), 0.16), 0.09, shade(palette.metal, 0.8))
    pen.solid(floor, 0.17, shade(palette.dark, 1.1))


def draw_bodywork(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """Seat and painted panels, which give each style its line; a box or panniers."""
    style = motorcycle.style
    half = 0.18 if style is SCOOTER else 0.14
    if style is not SCOOTER:
        pen.solid(smooth(motorcycle.place(style.seat)), 0.11, palette.dark)
    for panel in style.panels:
        pen.solid(smooth(motorcycle.place(panel)), half, palette.paint)
    if style is SCOOTER:
        pen.solid(smooth(motorcycle.place(style.seat)), 0.13, palette.dark)
    if style is SPORT:
        stripe = ((0.47, 0.79), (0.27, 0.79), (0.0, 0.36), (0.14, 0.34))
        pen.polygon(at(motorcycle.place(stripe), 0.18), palette.accent)
    if motorcycle.luggage:
        draw_luggage(pen, motorcycle, palette)


def draw_luggage(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """A delivery box behind a scooter's seat; panniers beside the rear wheel of the others."""
    back = motorcycle.rear[0]
    if motorcycle.style is SCOOTER:
        box = ((back - 0.34, 0.86), (back - 0.32, 1.16), (back + 0.06, 1.16), (back + 0.08, 0.86))
        pen.solid(box, 0.19, palette.accent)
    else:
        bag = ((back - 0.16, 0.72), (back + 0.28, 0.74), (back + 0.26, 0.46), (back - 0.12, 0.48))
        pen.solid(smooth(bag, 1), 0.22, palette.accent)


def draw_rear_mudguard(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """An arc close to the tyre, long on a cruiser and a stub on the others; the tail light."""
    long = motorcycle.style is CRUISER
    arc = circle(pen.corners)
    arc = arc[(arc[:, 1] > (0.1 if long else 0.55)) & (arc[:, 0] < 0.6)]
    half = np.array(motorcycle.rear) + (motorcycle.wheel + 0.03) * arc
    pen.stroke(at(half, 0.03), 0.06, palette.paint if long else palette.dark)
    lamp = motorcycle.spot(motorcycle.style.lamp)
    pen.stroke(at((lamp, shift(lamp, 0.03, 0)), 0), 0.06, TAIL_LIGHT)


def draw_front_mudguard(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """Hugs the wheel, but for an enduro's beak high above it."""
    hub = np.array(motorcycle.front)
    if motorcycle.style is ENDURO:
        beak = ((-0.32, 0.5), (-0.1, 0.49), (0.36, 0.38), (0.1, 0.42), (-0.26, 0.42))
        pen.solid(smooth(hub + beak, 1), 0.07, palette.paint)
        return
    arc = circle(pen.corners)
    half = hub + (motorcycle.wheel + 0.025) * arc[(arc[:, 1] > 0.25) & (arc[:, 0] < 0.75)]
    pen.stroke(at(half, 0.02), 0.07, palette.paint)


def draw_lamp_and_screen(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """A round headlight, but on a sports bike; a screen on some."""
    x, y = motorcycle.head
    if motorcycle.style is SPORT:
        glass = ((x + 0.18, y - 0.02), (x, y + 0.17), (x - 0.08, y + 0.15), (x - 0.02, y + 0.02))
        pen.polygon(at(smooth(glass, 1), 0.05), palette.glass)
        return
    shell = circle(pen.corners) * (0.8 * motorcycle.lamp, motorcycle.lamp)
    pen.solid(shift(shell, x + 0.1, y - 0.02), 0.08, palette.metal)
    pen.ring((x + 0.14, y - 0.02), motorcycle.lamp * 0.7, 0, HEADLIGHT, 0.06)
    if motorcycle.screen:
        glass = ((x + 0.12, y + 0.06), (x - 0.02, y + 0.38), (x + 0.03, y + 0.4), (x + 0.18, y + 0.06))
        pen.polygon(at(glass, 0.1), palette.glass)


def draw_bars(pen: Pen, motorcycle: Motorcycle, palette: Palette) -> None:
    """Bars across, a grip and a mirror at either end."""
    (x, y), (gx, gy) = motorcycle.head, motorcycle.grip
    width = 0.28 if motorcycle.style is SPORT else 0.36
    pen.tube(((gx, gy, -width), (x, y + 0.04, 0), (gx, gy, width)), 0.035, palette.dark)
    for z in (-width, width):
        pen.tube(at(((gx - 0.06, gy), (gx + 0.05, gy)), z), 0.045, palette.dark)
        pen.stroke(at(((gx + 0.04, gy), (gx + 0.06, gy + 0.12)), z * 0.8), 0.014, palette.dark, floor=0.3)
        mirror = shift(circle(16) * (0.055, 0.035), gx + 0.05, gy + 0.14)
        pen.polygon(at(mirror, z * 0.95), palette.dark)
