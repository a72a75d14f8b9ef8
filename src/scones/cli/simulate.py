"""`scones workflow simulate`: drivers made up to see what the workflow does under load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.live import Live
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.cli.target import connect_to, target_options
from scones.errors import DataError, SconesError, UsageError

if TYPE_CHECKING:
    from scones.aws.traffic import Burst, Traffic

DRAWN = 24  # pictures of each class
SIDE = 32  # pixels


@click.command()
@target_options
@click.option(
    "--rate", default=5.0, show_default=True, type=click.FloatRange(0.01), help="Check-ins a second."
)
@click.option("--duration", default=30.0, show_default=True, type=click.FloatRange(0.1), help="Seconds.")
@click.option(
    "--mix",
    default="bicycle=47,motorcycle=47,noise=2,text=2,torn=2",
    show_default=True,
    help="Weights of the kinds of photo.",
)
@click.option("--corrupt", default="", help="Probabilities of corruptions, such as blur=.1,dark=.05.")
@click.option("--burst", metavar="FACTOR@START+SECONDS", help="A rush, such as 5@10+5.")
@click.option("--images", type=click.Path(path_type=Path), help="A staged dataset (default: drawn sample).")
@click.option("--seed", type=int, help="Seed of arrivals, photos and corruptions (default 0).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def simulate(
    rate: float,
    duration: float,
    mix: str,
    corrupt: str,
    burst: str | None,
    images: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Check in with made-up drivers at a given rate, and show throughput, outcomes and latencies.

    Exit code 1 when a check-in is left without an outcome.
    """
    from scones.aws.stacks import read_outputs
    from scones.aws.traffic import run_traffic, schedule_arrivals
    from scones.data.photos import draw_photos

    rush = parse_burst(burst) if burst else None
    weights, probabilities = parse_numbers(mix, "--mix"), parse_numbers(corrupt, "--corrupt")
    settings = read_settings(**flags)
    photos = draw_photos(_load_vehicles(images), weights, probabilities, settings.seed)
    cloud = connect_to(settings)
    outputs = read_outputs(cloud, settings.stack_name)
    arrivals = schedule_arrivals(rate, duration, rush, settings.seed)
    with Live(console=narration, auto_refresh=False) as live:
        show: Callable[[Traffic], None] = lambda traffic: live.update(_draw(traffic), refresh=True)  # noqa: E731
        traffic = run_traffic(cloud, outputs, arrivals, photos, show)
    if as_json:
        print_json(summarize(traffic))
    if traffic.waiting:
        raise SconesError(
            f"{len(traffic.waiting)} of {traffic.sent} check-ins have no outcome yet.",
            "The sweeper starts them again after its time; see also the alarms.",
        )


def parse_numbers(text: str, option: str) -> dict[str, float]:
    """`a=1,b=.5` as a table. Raises UsageError."""
    numbers = {}
    for pair in filter(None, text.split(",")):
        name, _, value = pair.partition("=")
        try:
            numbers[name.strip()] = float(value)
        except ValueError:
            raise UsageError(f"{option}: {pair!r} is not of the form NAME=NUMBER.") from None
        if not 0 <= numbers[name.strip()] < float("inf"):
            raise UsageError(f"{option}: {pair!r} must not be negative, nor infinite.")
    if option == "--mix" and not sum(numbers.values()):
        raise UsageError("--mix: at least one kind needs a weight above 0.")
    return numbers


def parse_burst(text: str) -> Burst:
    """`FACTOR@START+SECONDS`. Raises UsageError."""
    from scones.aws.traffic import Burst

    try:
        factor, _, window = text.partition("@")
        start, _, seconds = window.partition("+")
        burst = Burst(float(factor), float(start), float(seconds))
    except ValueError:
        raise UsageError(f"--burst {text!r} is not of the form FACTOR@START+SECONDS.") from None
    if not (burst.factor > 0 and burst.start >= 0 and burst.seconds > 0):
        raise UsageError(f"--burst {text!r}: factor and seconds must be above 0.")
    return burst


def _load_vehicles(images: Path | None) -> dict[str, list[bytes]]:
    """Encoded test images by class, of a staged dataset or drawn."""
    from scones.data.dataset import read_dataset
    from scones.data.sample import CLASSES, draw_file

    if images is None:
        return {name: [draw_file((name, number, SIDE)) for number in range(DRAWN)] for name in CLASSES}
    dataset = read_dataset(images)
    found: dict[str, list[bytes]] = {}
    for image in dataset.select("test"):
        found.setdefault(image.class_name, []).append(dataset.path(image).read_bytes())
    if not found:
        raise DataError(f"The dataset {images} has no test images.")
    return found


def summarize(traffic: Traffic) -> dict[str, Any]:
    """Counts by kind and outcome, and latencies in seconds (p50, p95, most) from the due moment on."""
    table: dict[str, dict[str, int]] = {}
    for (kind, outcome), count in sorted(traffic.outcomes.items()):
        table.setdefault(kind, {})[outcome] = count
    latencies = sorted(traffic.latencies)
    return {
        "sent": traffic.sent,
        "without_outcome": len(traffic.waiting),
        "outcomes": table,
        "latency_seconds": {
            name: latencies[min(len(latencies) - 1, int(part * len(latencies)))]
            for name, part in (("p50", 0.5), ("p95", 0.95), ("most", 1.0))
            if latencies
        },
    }


def _draw(traffic: Traffic) -> Table:
    found = summarize(traffic)
    times = "  ".join(f"{name} {1000 * value:.0f} ms" for name, value in found["latency_seconds"].items())
    table = Table(
        "kind", "outcome", "check-ins", title=f"{traffic.sent} sent, {len(traffic.waiting)} under way"
    )
    for kind, outcomes in found["outcomes"].items():
        for outcome, count in outcomes.items():
            table.add_row(kind, outcome, str(count))
    table.caption = times or "no outcome yet"
    return table
