"""Every error that local_cloud raises on purpose.

    LocalCloudError        something could not be done
    ├── AlreadyRunning     another cloud holds this state directory
    ├── NotRunning         no cloud runs on this state directory
    │   └── NotReady       one is just starting or stopping there
    ├── StartFailed        the cloud did not become ready
    ├── CorruptState       a state file is damaged; nothing was changed
    └── StorageFull        a write could not be kept; it was refused

The message is one clear sentence that says what is wrong; `hint` says what to do next.
"""

from __future__ import annotations


class LocalCloudError(Exception):
    """Base of all. `hint` is one sentence on what to do next, or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AlreadyRunning(LocalCloudError):
    """Another local cloud holds this state directory."""


class NotRunning(LocalCloudError):
    """No local cloud runs on this state directory."""


class NotReady(NotRunning):
    """The local cloud of this state directory is just starting or stopping."""


class StartFailed(LocalCloudError):
    """The local cloud did not become ready."""


class CorruptState(LocalCloudError):
    """A state file is damaged. It was left as it is."""


class StorageFull(LocalCloudError):
    """A write could not be kept on disk, so it was refused."""
