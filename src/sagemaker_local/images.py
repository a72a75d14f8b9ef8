"""The image registry: which commands stand for which container image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sagemaker_local.errors import reject


@dataclass(frozen=True)
class Image:
    """Images whose URI matches `pattern` (a regular expression for the whole URI) run these commands.

    `train`, `serve` and `process` are what the container's entrypoint does for `docker run IMAGE train`,
    `docker run IMAGE serve` and for a processing job; None: the image cannot do that. A processing job's own
    entrypoint replaces `process`. `python` is what `python3` in entrypoints and scripts means. With
    `script_mode` and no `train`, the public sagemaker-training toolkit runs the user's script.
    """

    pattern: str
    train: tuple[str, ...] | None = None
    serve: tuple[str, ...] | None = None
    process: tuple[str, ...] | None = None
    python: str | None = None
    script_mode: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


def find_image(images: Sequence[Image], uri: str) -> Image:
    """The first image that matches `uri`. Raises ApiError (ValidationException) when none does."""
    for image in images:
        if re.fullmatch(image.pattern, uri):
            return image
    known = ", ".join(image.pattern for image in images) or "none"
    raise reject(f"No command is registered for the image {uri}. Known images: {known}.")
