"""The server's program, `python -m local_cloud`: lifecycle.start() runs it under its keeper."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from local_cloud.cloud import PORT, Places
from local_cloud.errors import LocalCloudError
from local_cloud.keeper import end_with_parent, kill_children


def main() -> int:
    options = _parse()
    end_with_parent()
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.set_inheritable(options.lock_fd, False)  # jobs and Lambda runtimes must not hold the lock
    os.set_inheritable(options.ready_fd, False)
    mounts = dict(mount.split("=", 1) for mount in options.mount)
    from local_cloud.server import run  # heavy: after the parent is known to live

    try:
        run(
            Places(options.state_dir),
            options.region,
            mounts,
            [options.port] if options.port is not None else [options.usual_port, 0],
            lambda told: _tell(options.ready_fd, told),
        )
    except LocalCloudError as error:
        logging.getLogger("local_cloud").error("%s %s", error.message, error.hint)
        _tell(options.ready_fd, {"error": error.message, "hint": error.hint})
        return 1
    finally:
        kill_children()  # the keeper does it too, but it may have been killed
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local_cloud", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, help="This one; without it, the usual one or any.")
    parser.add_argument("--usual-port", type=int, default=PORT)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--mount", action="append", default=[], metavar="SERVICE=MODULE:FACTORY")
    parser.add_argument("--ready-fd", type=int, required=True)
    parser.add_argument("--lock-fd", type=int, required=True)
    return parser.parse_args()


def _tell(pipe: int, told: dict[str, Any]) -> None:
    try:
        os.write(pipe, json.dumps(told).encode() + b"\n")
        os.close(pipe)
    except OSError:  # told before, or nobody listens any more
        pass


if __name__ == "__main__":
    sys.exit(main())
