"""Refusals of Application Auto Scaling."""

from __future__ import annotations


class ScalingError(Exception):
    """A request is refused with AWS error `code` (HTTP 400): ValidationException, ObjectNotFoundException."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
