"""From an uploaded file to RGB bytes, and from RGB bytes to the network's input.

One way for thumbnails and phone photos, for training, export and serving: Pillow decodes and, for big
pictures, halves the sides by whole numbers; then two matrices do one exact antialiased bicubic resize, A_h
· X · A_wᵀ. The exported graph holds the same arithmetic, so no second implementation of "resize" can drift
away from this one.
"""

from __future__ import annotations

import io
import warnings
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from scones.errors import DataError

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB

SIZE = 160  # side of the network's input in training and for thumbnails, pixels
# In photos the vehicle fills less of the frame than in thumbnails, so photos are looked at more closely.
PHOTO_SIZE, PHOTO_SIDE = 192, 128  # their input, and the short side from which a picture counts as a photo
REDUCED_SIDE = 2 * SIZE  # decoding never leaves a short side over twice this
LEAST_SIDE = 8
MOST_BYTES = 32 * 1024 * 1024
MOST_PIXELS = 100_000_000
CUBIC = -0.5  # Keys' parameter, as in Pillow
BACKGROUND = (255, 255, 255)  # behind transparent pixels
_HINT = "Send a PNG or JPEG picture that an image viewer can open."


def decode(content: bytes) -> Pixels:
    """RGB pixels (height, width, 3) of any picture Pillow reads, the right way up.

    Honours the EXIF orientation, puts transparency on white, converts grey, palette, CMYK and 16-bit
    pictures, takes the first frame of many, and shrinks big pictures to a short side of 320 to 639 pixels.
    Raises DataError for anything that is empty, no picture, damaged, smaller than 8 pixels or larger than
    32 MiB or 100 megapixels.
    """
    if not content:
        raise DataError("The picture is empty (0 bytes).", _HINT)
    if len(content) > MOST_BYTES:
        raise DataError(f"The picture has {len(content):,} bytes; at most {MOST_BYTES:,} are read.", _HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # size bombs and odd metadata are judged below
            with Image.open(io.BytesIO(content)) as image:
                return np.asarray(_shrink(_open_checked(image)))
    except UnidentifiedImageError:
        raise DataError("The content is not a picture in a format that can be read.", _HINT) from None
    except Image.DecompressionBombError:
        raise DataError(f"The picture has over {MOST_PIXELS:,} pixels.", _HINT) from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, OverflowError) as error:
        raise DataError(f"The picture is damaged: {error}.", _HINT) from error


def _open_checked(image: Image.Image) -> Image.Image:
    """Decoded at a useful size, upright, RGB."""
    if image.width * image.height > MOST_PIXELS:
        raise Image.DecompressionBombError
    if min(image.size) < LEAST_SIDE:
        raise DataError(
            f"The picture is {image.width}x{image.height} pixels; at least {LEAST_SIDE} are needed.", _HINT
        )
    # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size for a fraction of the work.
    scale = min(image.size) / REDUCED_SIDE
    if scale > 2:
        image.draft("RGB", (int(image.width / scale), int(image.height / scale)))
    image.load()
    return _convert_rgb(ImageOps.exif_transpose(image))


def _convert_rgb(image: Image.Image) -> Image.Image:
    if image.mode in (
        "I;16",
        "I;16B",
        "I;16L",
        "I;16N",
        "I",
    ):  # 16-bit grey: Pillow would clip it, not scale it
        return Image.fromarray((np.asarray(image, np.float64) / 257).clip(0, 255).astype(np.uint8)).convert(
            "RGB"
        )
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(canvas, image).convert("RGB")
    return image.convert("RGB")


def _shrink(image: Image.Image) -> Image.Image:
    factor = min(image.size) // REDUCED_SIDE
    return image.reduce(factor) if factor > 1 else image


def resize(pixels: Pixels, size: int = SIZE) -> NDArray[np.float32]:
    """Antialiased bicubic resize to (size, size, 3), values 0 to 255, the aspect ratio not kept."""
    rows, columns = make_weights(pixels.shape[0], size), make_weights(pixels.shape[1], size)
    tall = rows @ pixels.reshape(len(pixels), -1).astype(np.float32)
    scaled = columns @ tall.reshape(size, -1, 3)
    return np.asarray(np.clip(scaled, 0, 255), np.float32)


def choose_size(pixels: Pixels) -> int:
    """Side of the network's input for a picture: 160 for thumbnails, 192 for photos."""
    return PHOTO_SIZE if min(pixels.shape[:2]) >= PHOTO_SIDE else SIZE


@lru_cache(maxsize=64)
def make_weights(source: int, size: int) -> NDArray[np.float32]:
    """The matrix (size, source) that resizes one axis; R. Keys, "Cubic convolution interpolation", 1981."""
    scale = max(source / size, 1.0)  # wider kernel when shrinking: no aliasing
    centres = (np.arange(size) + 0.5) * source / size
    distance = np.abs((np.arange(source)[None] + 0.5 - centres[:, None]) / scale)
    near, far = np.maximum(1 - distance, 0), np.maximum(2 - distance, 0)
    weights = near**2 * (4 * CUBIC + 3 - 2 * near) + CUBIC * far**2 * (1 - far)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
