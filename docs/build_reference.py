"""Writes docs/reference/cli.md and docs/reference/settings.md from the code; a test compares them.

python docs/build_reference.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click

from scones.cli import cli
from scones.errors import CloudError, DataError, ModelError, SconesError, UsageError
from scones.settings import Settings

REFERENCE = Path(__file__).parent / "reference"


def describe_settings() -> str:
    """The table of settings and the exit codes."""
    lines = [
        "# Settings and exit codes",
        "",
        "Made from the code by `python docs/build_reference.py`.",
        "",
        "A flag beats the environment, the environment beats `scones.toml` of the working directory, which",
        "beats the default. Unknown names are refused.",
        "",
        "| Setting | Environment | Default | Meaning |",
        "|---|---|---|---|",
    ]
    for entry in fields(Settings):
        choices = f" ({', '.join(entry.metadata['choices'])})" if entry.metadata.get("choices") else ""
        variable = f"SCONES_{entry.name.upper()}"
        lines.append(
            f"| `{entry.name}` | `{variable}` | `{entry.default}` | {entry.metadata['help']}{choices} |"
        )
    lines += ["", "| Exit code | Error | Meaning |", "|---|---|---|", "| 0 | | Done. |"]
    for error in (SconesError, DataError, ModelError, CloudError, UsageError):
        meaning = (error.__doc__ or "").splitlines()[0]
        meaning = "Anything else that could not be done." if error is SconesError else meaning
        lines.append(f"| {error.exit_code} | `{error.__name__}` | {meaning} |")
    return "\n".join([*lines, "| 130 | | Interrupted with Ctrl-C. |", ""])


def describe_commands() -> str:
    """Every command's help."""
    lines = ["# Commands", "", "Made from the code by `python docs/build_reference.py`.", ""]
    for path, command in _walk(cli, "scones"):
        inner = click.Context(command, info_name=path, terminal_width=100, **cli.context_settings)
        lines += [f"## `{path}`", "", "```text", command.get_help(inner).rstrip(), "```", ""]
    return "\n".join(lines)


def _walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


PAGES = {"settings.md": describe_settings, "cli.md": describe_commands}


def main(folder: Path = REFERENCE) -> None:
    """Write every page into `folder`."""
    for name, describe in PAGES.items():
        (folder / name).write_text(describe(), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
