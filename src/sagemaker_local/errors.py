"""Every error that sagemaker_local raises on purpose.

    SageMakerLocalError
    ├── ApiError         answered to the caller with AWS's code, message and HTTP status
    ├── JobError         ends a job as Failed; its text becomes FailureReason
    └── StateError       the state folder cannot be used; the start is refused and nothing is overwritten

Endpoints (`sagemaker_local.endpoints.errors`) and scaling have their own.
"""

from __future__ import annotations


class SageMakerLocalError(Exception):
    """Base of all."""


class ApiError(SageMakerLocalError):
    """One AWS error answer: `code` as in AWS's service model (`ValidationException`), HTTP `status`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class JobError(SageMakerLocalError):
    """A job cannot go on; `str(error)` becomes its FailureReason."""


class StateError(SageMakerLocalError):
    """The state folder is damaged or of another version; nothing in it was changed."""


def reject(message: str) -> ApiError:
    """SageMaker's answer to a bad request, and to names that do not exist: ValidationException, 400."""
    return ApiError("ValidationException", message)


def conflict(message: str) -> ApiError:
    """The name is taken: ResourceInUse, 400."""
    return ApiError("ResourceInUse", message)


def limit(message: str) -> ApiError:
    """More than there is: ResourceLimitExceeded, 400."""
    return ApiError("ResourceLimitExceeded", message)


def clash(message: str) -> ApiError:
    """Something else is in the way: ConflictException, 409."""
    return ApiError("ConflictException", message, 409)


def missing(message: str) -> ApiError:
    """A resource that newer operations name ResourceNotFound, 400."""
    return ApiError("ResourceNotFound", message)
