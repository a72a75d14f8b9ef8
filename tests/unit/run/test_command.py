"""What `scones run` says at its end, whatever came out."""

from __future__ import annotations

import pytest

from scones.cli.run import show_summary
from synthetic import make_run


def test_a_model_that_is_never_sure_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    summary = make_run().summary
    model = {**summary["model"], "coverage": 0.0, "selective_accuracy": None}
    show_summary({**summary, "model": model}, seconds=1.0, keep_up=False)
    assert "none covered" in capsys.readouterr().err
