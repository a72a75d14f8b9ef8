"""`python -m scones.container train|serve`: what SageMaker runs in the container."""

from __future__ import annotations

import sys
from importlib import import_module

from scones.model.threads import wait_passively

# What each command is made of; loaded only when it is asked for, so that serving never loads PyTorch.
COMMANDS = {
    "train": "scones.container.training",
    "serve": "scones.container.serving",
}


def main(arguments: list[str]) -> int:
    """Run one command; returns its exit code, 2 for a wrong call."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"Usage: python -m scones.container {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    if arguments[0] == "train":
        wait_passively()
    code: int = import_module(COMMANDS[arguments[0]]).main()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
