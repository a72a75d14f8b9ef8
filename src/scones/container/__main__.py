"""`python -m scones.container train|serve`: what SageMaker calls as `docker run IMAGE train|serve`."""

from __future__ import annotations

import sys
from importlib import import_module

PROGRAMS = {"train": "scones.container.training", "serve": "scones.container.serving"}


def main() -> None:
    """Run the program named by the first argument; exit 2 for any other name."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROGRAMS:
        sys.exit(f"Unknown program {name!r}: say python -m scones.container {'|'.join(PROGRAMS)}.")
    sys.exit(import_module(PROGRAMS[name]).main())


if __name__ == "__main__":
    main()
