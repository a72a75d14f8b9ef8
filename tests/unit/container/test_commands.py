"""What SageMaker may run in the container is there; anything else is a wrong call."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from scones.container.__main__ import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_its_module(command: str) -> None:
    assert find_spec(COMMANDS[command]) is not None


@pytest.mark.parametrize("arguments", [[], ["monitor"], ["train", "serve"]])
def test_a_wrong_call_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "scones.container train|serve" in capsys.readouterr().err
