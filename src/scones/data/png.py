"""Writes PNG files of thumbnails.

Stored, not deflated: at 32x32 a PNG is 3.1 kB either way (one disk block), writing is an order of magnitude
faster than through an image library, and the same pixels give the same bytes whatever zlib is installed, so
digests of staged data hold across machines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from isal.isal_zlib import adler32, crc32
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_STORED = 0xFFFF  # bytes in a stored block, of which each file has one
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_pack = struct.Struct(">I").pack


def encode_pngs(pixels: NDArray[np.uint8]) -> Iterator[bytes]:
    """PNG files (8-bit RGB) of pixels (n, height, width, 3), at most 64 kB each.

    W3C PNG specification, 3rd edition, section 5; the pixels as a zlib stream (RFC 1950) of one stored block
    (RFC 1951, section 3.2.4).
    """
    count, height, width, _ = pixels.shape
    size = height * (1 + 3 * width)
    if size > _MOST_STORED:
        raise ValueError(f"{width}x{height} pixels are no thumbnail.")
    lines = np.zeros((count, height, 1 + 3 * width), dtype=np.uint8)  # a line starts with filter type 0, none
    for channel in range(3):  # one by one, which is several times as fast for planes
        lines[:, :, 1 + channel :: 3] = pixels[..., channel]
    before = b"IDAT\x78\x01" + struct.pack("<BHH", 1, size, ~size & 0xFFFF)
    start = _encode_start(width, height) + _pack(len(before) - 4 + size + 4) + before
    checked = crc32(before)
    for line in lines.reshape(count, size):
        data = line.data
        check = _pack(adler32(data))
        yield b"".join((start, data, check, _pack(crc32(check, crc32(data, checked))), _END))


def _encode_start(width: int, height: int) -> bytes:
    """Signature and IHDR chunk."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join((_SIGNATURE, _pack(len(header) - 4), header, _pack(crc32(header))))
