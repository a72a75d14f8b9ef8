"""What every part of the local cloud knows of it: where its state lies, where it listens, its credentials."""

from __future__ import annotations

import json
import os
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path

from local_cloud.errors import CorruptState

HOST = "127.0.0.1"
PORT = 4566
ACCOUNT = "000000000000"
USER = "developer"
ROLE = "notebook"


@dataclass(frozen=True)
class Places:
    """The files of one local cloud below `root`, its state directory (readable by its owner alone)."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "cloud"

    @property
    def lock(self) -> Path:
        """Locked (flock) by the running cloud for as long as any process of it lives."""
        return self.home / "lock"

    @property
    def running(self) -> Path:
        """What `status` and `env` need to know of the running cloud."""
        return self.home / "running.json"

    @property
    def credentials(self) -> Path:
        return self.home / "credentials.json"

    @property
    def journal(self) -> Path:
        """Everything that is not an S3 object."""
        return self.home / "state.sqlite"

    @property
    def objects(self) -> Path:
        """S3's objects, one file each with its metadata beside it."""
        return self.home / "s3"

    @property
    def log(self) -> Path:
        return self.home / "log" / "cloud.log"

    def make(self) -> None:
        """Make the folders, for their owner alone."""
        for folder in (self.home, self.objects, self.log.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@dataclass(frozen=True)
class Credentials:
    """The access key of the account's administrator, made once for each state directory."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True)
class Cloud:
    """A running local cloud, as seen by the parts that are mounted into it."""

    places: Places
    port: int
    credentials: Credentials
    region: str = "us-east-1"
    account_id: str = ACCOUNT

    @property
    def endpoint_url(self) -> str:
        return f"http://{HOST}:{self.port}"


def read_credentials(places: Places) -> Credentials:
    """The credentials of this state directory; made, with file mode 600, when there are none yet.

    Raises CorruptState when the file is damaged.
    """
    path = places.credentials
    if not path.exists():
        return _make_credentials(path)
    try:
        return Credentials(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        hint = "Restore it from a backup, or move the state directory away to start with an empty cloud."
        raise CorruptState(f"The credentials in {path} cannot be read: {error}.", hint) from error


def _make_credentials(path: Path) -> Credentials:
    # The shape of AWS's own keys: AKIA and 16 characters of base32, 40 of base64's alphabet.
    key = "AKIA" + "".join(secrets.choice(string.ascii_uppercase + "234567") for _ in range(16))
    secret = "".join(secrets.choice(string.ascii_letters + string.digits + "+/") for _ in range(40))
    made = {"access_key_id": key, "secret_access_key": secret}
    scratch = path.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(made, file)
    scratch.replace(path)
    return Credentials(**made)
