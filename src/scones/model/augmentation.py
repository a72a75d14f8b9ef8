"""Training pictures varied at random, and pictures of no class. Tensors (n, 3, side, side), values 0 to
255."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

ROTATION = 10.0  # degrees either way
ZOOM = (0.6, 1.2)  # under 1 the vehicle gets smaller, and sharper, as it is in photos
ASPECT = 0.15
SHIFT = 0.12  # of the side
LIGHT = 0.3  # brightness, contrast, saturation
GREY_SHARE, BLUR_SHARE, NOISE_SHARE = 0.1, 0.3, 0.3
NOISE = 14.0  # standard deviation at most; heavier noise makes a picture of no class


def augment(pixels: Tensor, side: int, generator: Generator) -> Tensor:
    """Each picture moved, mirrored, blurred, recoloured and made noisy at random, `side` pixels wide and
    high."""
    x = _move(pixels.float(), side, generator)
    x = _blur(x, generator)
    x = _recolour(x, generator)
    chosen = torch.rand(len(x), generator=generator) < NOISE_SHARE
    noisy = x[chosen]
    x[chosen] = noisy + _grain(noisy.shape, 32, generator) * _draw(len(noisy), 0.0, NOISE, generator)
    return x.clamp_(0.0, 255.0)


def _draw(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * (high - low) + low)[:, None, None, None]


def _choose(count: int, share: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < share).float()[:, None, None, None]


def _move(x: Tensor, side: int, generator: Generator) -> Tensor:
    """Mirror, rotate, zoom, stretch and shift in one sampling; the border is mirrored."""
    n = len(x)

    def draw(low: float, high: float) -> Tensor:
        return _draw(n, low, high, generator).flatten()

    zoom, stretch = torch.exp(draw(*map(math.log, ZOOM))), torch.exp(draw(-ASPECT / 2, ASPECT / 2))
    angle = draw(-ROTATION, ROTATION) * math.pi / 180
    mirror = 1 - 2 * (draw(0.0, 1.0) < 0.5).float()
    across, down = stretch / zoom, 1 / (stretch * zoom)
    first = [across * angle.cos() * mirror, -down * angle.sin(), draw(-2 * SHIFT, 2 * SHIFT)]
    second = [across * angle.sin() * mirror, down * angle.cos(), draw(-2 * SHIFT, 2 * SHIFT)]
    matrices = torch.stack([torch.stack(first, 1), torch.stack(second, 1)], 1)
    grid = F.affine_grid(matrices, [n, 3, side, side], align_corners=False)
    return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def _blur(x: Tensor, generator: Generator) -> Tensor:
    """Some pictures mixed with themselves at a quarter to a half of the resolution."""
    factor = 0.25 + 0.25 * torch.rand((), generator=generator).item()
    small = F.interpolate(x, scale_factor=factor, mode="bilinear", antialias=True)
    soft = F.interpolate(small, size=x.shape[2:], mode="bilinear")
    share = _draw(len(x), 0.0, 1.0, generator) * _choose(len(x), BLUR_SHARE, generator)
    return x + share * (soft - x)


def _recolour(x: Tensor, generator: Generator) -> Tensor:
    n = len(x)
    x = x * _draw(n, 1 - LIGHT, 1 + LIGHT, generator)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * _draw(n, 1 - LIGHT, 1 + LIGHT, generator) + mean
    grey = x.mean(dim=1, keepdim=True)
    saturation = _draw(n, 1 - LIGHT, 1 + LIGHT, generator) * (1 - _choose(n, GREY_SHARE, generator))
    return (x - grey) * saturation + grey


def _grain(shape: torch.Size, grains: int, generator: Generator) -> Tensor:
    """Unit noise with `grains` grains a side, as a noisy thumbnail shows it when enlarged."""
    noise = torch.randn(shape[0], shape[1], grains, grains, generator=generator)
    return F.interpolate(noise, size=shape[2:], mode="bicubic")


def make_outliers(pixels: Tensor, kinds: Sequence[int], side: int, generator: Generator) -> Tensor:
    """Pictures that belong to no class, one of each of the `kinds` (counted through, again from the seventh
    on); training teaches the network not to be sure of them.

    No outside data: pictures under heavy noise, noise alone at several scales, blank and shaded frames,
    shuffled tiles, small corners blown up, and drawn discs, bars and stripes. (D. Hendrycks et al., "Deep
    Anomaly Detection with Outlier Exposure", 2019.)
    """
    sources = pixels[torch.randint(len(pixels), (len(kinds),), generator=generator)].float()
    x = F.interpolate(sources, size=(side, side), mode="bilinear")
    makers = (_add_heavy_noise, _make_noise, _make_blank, _shuffle_tiles, _enlarge_corner, _draw_shapes)
    parts = [makers[kind % len(makers)](x[i : i + 1], generator) for i, kind in enumerate(kinds)]
    return torch.cat(parts).clamp(0.0, 255.0) if parts else x


def _pick(options: tuple[int, ...], generator: Generator) -> int:
    return options[int(torch.randint(len(options), (), generator=generator))]


def _add_heavy_noise(x: Tensor, generator: Generator) -> Tensor:
    grains = _pick((8, 16, 32, 32, 32, 64, x.shape[2]), generator)
    return x + _grain(x.shape, grains, generator) * _draw(1, 45.0, 120.0, generator)


def _make_noise(x: Tensor, generator: Generator) -> Tensor:
    total = torch.zeros_like(x) + _draw(1, 0.0, 255.0, generator)
    for grains in (2, 4, 8, 16, 32, 80, x.shape[2]):
        total = total + _grain(x.shape, grains, generator) * _draw(1, -80.0, 80.0, generator)
    return total


def _make_blank(x: Tensor, generator: Generator) -> Tensor:
    corners = torch.rand(1, _pick((1, 3), generator), 2, 2, generator=generator) * 255
    frame = F.interpolate(corners.expand(1, 3, 2, 2), size=x.shape[2:], mode="bilinear")
    level = _draw(1, 0.0, 255.0, generator)
    return level + (frame - level) * _draw(1, 0.0, 1.0, generator) + _grain(x.shape, 32, generator) * 3


def _shuffle_tiles(x: Tensor, generator: Generator) -> Tensor:
    across = _pick((2, 4, 8), generator)
    tile = x.shape[2] // across
    tiles = x[..., : tile * across, : tile * across].unfold(2, tile, tile).unfold(3, tile, tile).reshape(
        1, 3, across * across, tile, tile)  # fmt: skip
    order = torch.randperm(across * across, generator=generator)
    grid = (
        tiles[:, :, order]
        .rot90(_pick((0, 1, 2, 3), generator), (3, 4))
        .reshape(1, 3, across, across, tile, tile)
    )
    mixed = grid.permute(0, 1, 2, 4, 3, 5).reshape(1, 3, tile * across, tile * across)
    return F.interpolate(mixed, size=x.shape[2:], mode="bilinear")


def _enlarge_corner(x: Tensor, generator: Generator) -> Tensor:
    width = max(2, x.shape[2] // _pick((4, 5, 6, 8), generator))
    top, left = (_pick((0, x.shape[2] - width), generator) for _ in range(2))
    return F.interpolate(x[..., top : top + width, left : left + width], size=x.shape[2:], mode="bilinear")


def _draw_shapes(x: Tensor, generator: Generator) -> Tensor:
    axis = torch.linspace(-1.0, 1.0, x.shape[2])
    down, across = torch.meshgrid(axis, axis, indexing="ij")
    frame = torch.rand(1, 3, 1, 1, generator=generator).expand_as(x) * 255
    for _ in range(_pick((1, 2, 4, 8), generator)):
        turn, u0, v0, size = (
            (_draw(1, -1.0, 1.0, generator) * scale).item() for scale in (math.pi, 1, 1, 0.6)
        )
        u = across * math.cos(turn) + down * math.sin(turn) - u0
        v = down * math.cos(turn) - across * math.sin(turn) - v0
        disc, bar = u**2 + v**2 < size**2, (u.abs() < abs(size)) & (v.abs() < 0.2)
        inside = (disc, bar, torch.sin(u * 40 * size) > 0)[_pick((0, 1, 2), generator)]
        frame = torch.where(inside, torch.rand(1, 3, 1, 1, generator=generator) * 255, frame)
    return frame + _grain(x.shape, 32, generator) * 5
