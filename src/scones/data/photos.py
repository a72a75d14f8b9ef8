"""Photos for simulated drivers: real or drawn vehicles, spoilt as phones spoil them, and what is no photo."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from scones.data.drawing import CORRUPTIONS, corrupt
from scones.errors import UsageError

SEVERITY = (0.2, 0.7)  # from 0, which changes nothing, to 1, beyond recognition
NO_PHOTO = ("noise", "text", "torn")


@dataclass(frozen=True)
class Photo:
    """What a driver sends; `kind` is the truth: a vehicle class, or one of NO_PHOTO."""

    kind: str
    name: str
    body: bytes


def draw_photos(
    vehicles: Mapping[str, list[bytes]], mix: Mapping[str, float], spoil: Mapping[str, float], seed: int
) -> Iterator[Photo]:
    """An endless stream of photos, the same for the same seed.

    `vehicles` holds encoded images by class, `mix` the weight of each kind, `spoil` the probability of each
    corruption of a vehicle's photo. Raises UsageError for a kind or a corruption that is not known.
    """
    known = [*vehicles, *NO_PHOTO]
    for name in mix:
        if name not in known:
            raise UsageError(f"There is no kind of photo {name!r}.", f"Known are {', '.join(known)}.")
    for name in spoil:
        if name not in CORRUPTIONS:
            raise UsageError(f"There is no corruption {name!r}.", f"Known are {', '.join(CORRUPTIONS)}.")
    return _stream(vehicles, mix, spoil, random.Random(seed))


def _stream(
    vehicles: Mapping[str, list[bytes]],
    mix: Mapping[str, float],
    spoil: Mapping[str, float],
    chance: random.Random,
) -> Iterator[Photo]:
    while True:
        (kind,) = chance.choices(list(mix), list(mix.values()))
        if kind in NO_PHOTO:
            yield Photo(kind, f"{kind}.png", _make_no_photo(kind, vehicles, chance))
            continue
        body, done = chance.choice(vehicles[kind]), []
        for name, probability in spoil.items():
            if chance.random() < probability:
                severity, seed = chance.uniform(*SEVERITY), chance.getrandbits(32)
                body = _encode(corrupt(_decode(body), name, severity, seed))
                done.append(name)
        yield Photo(kind, "-".join([kind, *done]) + ".png", body)


def _make_no_photo(kind: str, vehicles: Mapping[str, list[bytes]], chance: random.Random) -> bytes:
    if kind == "text":
        return f"A note, not a photo: {chance.random()}".encode()
    if kind == "torn":
        body = chance.choice(next(iter(vehicles.values())))
        return body[: max(9, len(body) // chance.randint(2, 5))]
    pixels = np.frombuffer(chance.randbytes(64 * 64 * 3), dtype=np.uint8).reshape(64, 64, 3)
    return _encode(Image.fromarray(pixels))


def _decode(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body)).convert("RGB")


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
