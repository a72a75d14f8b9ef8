"""The generated reference is what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    # In a process of its own: click remembers how a command was first asked for help.
    subprocess.run([sys.executable, DOCS / "build_reference.py", tmp_path], check=True)
    for made in tmp_path.iterdir():
        assert (DOCS / "reference" / made.name).read_text() == made.read_text(), (
            "run: python docs/build_reference.py"
        )
