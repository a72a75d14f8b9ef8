"""The project keeps its own rules: sizes, pins, documentation, and the two commands."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from scones.cli import COMMANDS

ROOT = Path(__file__).parents[2]
MODULES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("functions/**/*.py")])
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def list_function_lengths(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of code (docstring apart) of each function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - first.lineno + 2


def test_functions_are_short() -> None:
    lengths = dict(pair for path in MODULES for pair in list_function_lengths(path))
    assert {name: lines for name, lines in lengths.items() if lines > 50} == {}
    assert statistics.median(lengths.values()) <= 8


def test_modules_are_small() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in sizes.items() if lines > 400} == {}


def test_every_dependency_is_pinned_and_has_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(entry for extra in extras for entry in extra)]
    pins = {line.partition("==")[0].lower().replace("_", "-") for line in read_constraints()}
    for requirement in wanted:
        name = re.split(r"[\[=<>~; ]", requirement)[0]
        assert name.lower().replace("_", "-") in pins, f"{requirement} has no pin in constraints.txt"
        assert re.search(rf'"{re.escape(requirement)}",\s+# \S', text), (
            f"{requirement} has no reason beside it"
        )


def read_constraints() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_pin_is_exact() -> None:
    assert [line for line in read_constraints() if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.]+", line)] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_documentation_exist(page: Path) -> None:
    """Every `scones …` in a code block names a command that exists, and options that it has."""
    blocks = re.findall(r"^```(?:bash|sh|console)?\n(.*?)^```", page.read_text(), re.M | re.S)
    lines = [part.strip() for block in blocks for line in block.splitlines() for part in line.split("&&")]
    for line in lines:
        if line.startswith("scones "):
            check_command(line.partition("#")[0].split()[1:], f"{page.name}: {line}")


def check_command(words: list[str], where: str) -> None:
    words = [word for word in words if word != "\\"]
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, where
    module, _, name = COMMANDS[words[0]][0].partition(":")
    command = getattr(import_module(module), name)
    while isinstance(command, click.Group):
        words = words[1:]
        if not words or words[0].startswith("-"):
            return
        assert words[0] in command.commands, where
        command = command.commands[words[0]]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    stop = words.index("--") if "--" in words else len(words)
    used = {word.partition("=")[0] for word in words[1:stop] if re.match(r"--?[a-z]", word)}
    assert used <= known | {"--help", "-h"}, where


@pytest.mark.parametrize("python", ["no-such-python", "false"])
def test_a_wrong_python_gives_one_clear_sentence(python: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    done = subprocess.run(
        ["make", "test", f"PYTHON={python}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stdout
    assert not (tmp_path / ".venv").exists()
