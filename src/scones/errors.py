"""Every error that scones raises on purpose.

    SconesError            exit 1   something could not be done
    ├── UsageError         exit 2   the command, a setting or a parameter is wrong
    ├── DataError          exit 1   input data is missing, damaged, hostile or inconsistent
    ├── ModelError         exit 1   training, an artifact or its evaluation is not acceptable
    └── CloudError         exit 1   AWS, or the local cloud, refused or did not answer

Errors of other libraries are translated into one of these once, where the library is called. The message is
one clear sentence that says what is wrong; `hint` says what to do next.
"""

from __future__ import annotations


class SconesError(Exception):
    """Base of all. `hint` is one sentence on what to do next, or empty."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SconesError):
    """The command, a setting or a parameter is wrong; nothing was started."""

    exit_code = 2


class DataError(SconesError):
    """Input data is missing, damaged, hostile or inconsistent."""


class ModelError(SconesError):
    """Training, a model artifact or its evaluation is not acceptable."""


class CloudError(SconesError):
    """AWS, or the local cloud, refused a call or did not answer."""
