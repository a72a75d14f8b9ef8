"""The generated reference is what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BUILDER = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "build_reference.py"))


@pytest.mark.parametrize("name", BUILDER["PAGES"])
def test_the_reference_is_up_to_date(name: str) -> None:
    written = (BUILDER["REFERENCE"] / name).read_text(encoding="utf-8")
    assert written == BUILDER["PAGES"][name](), "run: python docs/build_reference.py"
