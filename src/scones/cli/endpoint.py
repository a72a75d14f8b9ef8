"""`scones endpoint`: describe, ask and delete the endpoint that serves the model."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from scones.cli import narration, print_json, read_settings
from scones.cli.target import connect_to, target_options
from scones.errors import CloudError, UsageError

name_argument = click.argument("name", default="scones-vehicles")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group()
def endpoint() -> None:
    """The SageMaker endpoint: describe, invoke, delete."""


@endpoint.command()
@name_argument
@target_options
@json_option
def describe(name: str, as_json: bool, **flags: Any) -> None:
    """Say how the endpoint NAME (default scones-vehicles) stands."""
    from scones.aws.endpoints import read_endpoint

    found = read_endpoint(connect_to(read_settings(**flags)), name)
    if found is None:
        raise CloudError(f"There is no endpoint {name}.", "Deploy one: scones run.")
    if as_json:
        print_json(asdict(found))
    else:
        click.echo(f"{found.name}: {found.status}, {found.instances} instances, configuration {found.config}")


@endpoint.command()
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--name", default="scones-vehicles", show_default=True, help="The endpoint.")
@target_options
@json_option
def invoke(photo: Path, name: str, as_json: bool, **flags: Any) -> None:
    """Ask the endpoint what PHOTO shows; no driver checks in."""
    from scones.aws.checkins import read_photo
    from scones.aws.sessions import translate_errors

    settings, body = read_settings(**flags), read_photo(photo)
    kind = "image/png" if body.startswith(b"\x89PNG") else "image/jpeg"
    began = time.perf_counter()
    with translate_errors(f"ask the endpoint {name}"):
        runtime = connect_to(settings).client("sagemaker-runtime")
        answer = runtime.invoke_endpoint(EndpointName=name, ContentType=kind, Body=body)
        probabilities = json.loads(answer["Body"].read())
    milliseconds = 1000 * (time.perf_counter() - began)
    found = name_probabilities(probabilities, settings.class_names)
    if as_json:
        print_json({"probabilities": found, "attributes": answer.get("CustomAttributes", "")})
        return
    for label, probability in found.items():
        click.echo(f"{label:<12} {probability:.4f}")
    narration.print(f"{answer.get('CustomAttributes', '')}  {milliseconds:.0f} ms", markup=False)


def name_probabilities(probabilities: Sequence[float], classes: Sequence[str]) -> dict[str, float]:
    """Probability by class. Raises UsageError when there are not as many of one as of the other."""
    if len(probabilities) != len(classes):
        raise UsageError(
            f"The endpoint answered {len(probabilities)} probabilities, but the setting classes names "
            f"{len(classes)}: {', '.join(classes)}.",
            "Name the model's classes, in label order, with SCONES_CLASSES.",
        )
    return dict(zip(classes, probabilities, strict=True))


@endpoint.command()
@name_argument
@target_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool, **flags: Any) -> None:
    """Delete the endpoint NAME (default scones-vehicles), its configuration and model; captures stay."""
    from scones.aws.endpoints import delete_endpoint

    settings = read_settings(**flags)
    if not yes and not click.confirm(f"Delete the endpoint {name} on {settings.target}?", err=True):
        raise CloudError("Nothing was deleted.")
    gone = delete_endpoint(connect_to(settings), name)
    narration.print(f"Deleted {name}." if gone else f"There is no endpoint {name}.")
