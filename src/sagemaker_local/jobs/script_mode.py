"""Script mode: the user's script run by AWS's own sagemaker-training toolkit, in its own environment.

The toolkit is installed once, on first use, beside the packages of the interpreter that the image names, so
that scripts find PyTorch where the image's commands find it.
"""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sagemaker_local.errors import JobError
from sagemaker_local.images import Image

if TYPE_CHECKING:
    from sagemaker_local.plane import Plane

_INSTALL_SECONDS = 1800
_installing = threading.Lock()


def prepare_script_mode(plane: Plane, image: Image) -> Image:
    """The image with the toolkit's `train` command. Raises JobError when it cannot be installed."""
    if not image.script_mode or not image.python:
        raise JobError(f"ClientError: The image {image.pattern} cannot train.")
    with _installing:
        environment = _install(plane, Path(image.python))
    # The toolkit starts the user's script with the python it finds first on the path.
    path = f"{environment / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    train = (str(environment / "bin/train"),)
    return replace(image, train=train, environment={**image.environment, "PATH": path})


def _install(plane: Plane, python: Path) -> Path:
    environment = plane.config.state_dir / "script-mode"
    if (environment / "ready").exists():
        return environment
    _run(python, "-m", "venv", "--clear", "--without-pip", str(environment))
    own = environment / "bin/python"
    packages = _ask(own, "import sysconfig; print(sysconfig.get_path('purelib'))")
    parent = _ask(python, "import site, sysconfig; print(sysconfig.get_path('purelib'))")
    _run(python, "-m", "pip", "--python", str(own), "install", "-q", *plane.config.script_mode_requirements)
    # Behind the toolkit's own packages, so that its pins win for the toolkit and PyTorch is still found.
    (Path(packages) / "image.pth").write_text(f"{parent}\n")
    (environment / "ready").touch()
    return environment


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise JobError(f"ClientError: Script mode cannot be prepared: {last[0]}")


def _ask(python: Path, script: str) -> str:
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()
