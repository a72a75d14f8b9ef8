"""Writes PNG files of thumbnails.

Stored, not deflated: at 32x32 a PNG is 3.1 kB either way (one disk block), writing is an order of magnitude
faster than through an image library, and the same pixels give the same bytes whatever zlib is installed, so
digests of staged data hold across machines.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_STORED = 0xFFFF  # bytes in a block
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG file (8-bit RGB) of pixels (height, width, 3). W3C PNG specification, 3rd edition, section 5."""
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), dtype=np.uint8)  # each line starts with filter type 0, none
    lines[:, 1:] = pixels.reshape(height, 3 * width)
    data = b"IDAT" + _store(lines.tobytes())
    size, crc = _number(len(data) - 4), _number(zlib.crc32(data))
    return b"".join((_start(width, height), size, data, crc, _END))


def _store(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of stored blocks (RFC 1951, section 3.2.4)."""
    starts = range(0, len(data), _MOST_STORED)
    blocks = [data[start : start + _MOST_STORED] for start in starts]
    heads = [
        struct.pack("<BHH", start == starts[-1], len(b), ~len(b) & 0xFFFF)
        for start, b in zip(starts, blocks, strict=True)
    ]
    return b"".join((b"\x78\x01", *chain(*zip(heads, blocks, strict=True)), _number(zlib.adler32(data))))


@cache
def _start(width: int, height: int) -> bytes:
    """Signature and IHDR chunk."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join((_SIGNATURE, _number(len(header) - 4), header, _number(zlib.crc32(header))))


_number = struct.Struct(">I").pack
