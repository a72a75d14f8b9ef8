"""Errors of endpoints.

EndpointError      an endpoint could not be started or changed; its text is the FailureReason
InvokeError        an invocation failed; it knows the AWS error code, the HTTP status and the body's fields
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EndpointError(Exception):
    """An endpoint could not be started or changed; `reason` is what DescribeEndpoint calls FailureReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvokeError(Exception):
    """InvokeEndpoint fails with AWS error `code` and HTTP `status`; the error body is `body`.

    Codes: ValidationError 400, 413 (payload), ModelError 424, ModelNotReadyException 429,
    InternalFailure 500, ServiceUnavailable 503 (API_runtime_InvokeEndpoint).
    """

    def __init__(self, code: str, status: int, message: str, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.body: dict[str, Any] = {"Message": message, **(fields or {})}
