"""Simulated drivers: when they arrive, what they send, and what is refused beforehand."""

from __future__ import annotations

import io
from itertools import islice

import pytest
from PIL import Image

from scones.aws.traffic import Burst, Traffic, schedule_arrivals
from scones.cli.simulate import parse_burst, parse_numbers, summarize
from scones.data.drawing import CORRUPTIONS
from scones.data.photos import Photo, draw_photos
from scones.errors import UsageError


def draw(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
    return buffer.getvalue()


VEHICLES = {"bicycle": [draw("red"), draw("green")], "motorcycle": [draw("blue")]}


def take(count: int, mix: dict[str, float], corrupt: dict[str, float], seed: int = 0) -> list[Photo]:
    return list(islice(draw_photos(VEHICLES, mix, corrupt, seed), count))


def test_drivers_arrive_at_the_rate_whatever_happens_and_rush_in_a_burst() -> None:
    calm = list(schedule_arrivals(20, 100, None, seed=1))
    assert calm == sorted(calm)
    assert 1800 < len(calm) < 2200
    rush = list(schedule_arrivals(20, 100, Burst(5, 40, 10), seed=1))
    assert sum(40 <= at < 50 for at in rush) > 3 * sum(60 <= at < 70 for at in rush)
    assert list(schedule_arrivals(20, 100, None, seed=1)) == calm


def test_the_mix_is_kept_and_the_same_seed_sends_the_same() -> None:
    mix = {"bicycle": 3.0, "motorcycle": 1.0}
    photos = take(400, mix, {})
    assert 0.65 < sum(photo.kind == "bicycle" for photo in photos) / 400 < 0.85
    assert take(400, mix, {}) == photos
    assert {photo.body for photo in photos} <= {body for bodies in VEHICLES.values() for body in bodies}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_leaves_a_picture_of_the_same_size_that_says_its_name(name: str) -> None:
    (photo,) = take(1, {"bicycle": 1.0}, {name: 1.0})
    assert name in photo.name
    with Image.open(io.BytesIO(photo.body)) as image:
        assert image.size == (32, 32)


def test_what_is_no_photo_is_none() -> None:
    for kind in ("text", "torn"):
        (photo,) = take(1, {kind: 1.0}, {})
        with pytest.raises(OSError, match=r"cannot identify|truncated"):
            Image.open(io.BytesIO(photo.body)).load()
    (noise,) = take(1, {"noise": 1.0}, {})
    with Image.open(io.BytesIO(noise.body)) as image:
        assert image.size == (64, 64)


@pytest.mark.parametrize(
    ("mix", "corrupt", "message"),
    [
        ({"tram": 1.0}, {}, "no kind of photo 'tram'"),
        ({"bicycle": 1.0}, {"rust": 1.0}, "no corruption 'rust'"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_sent(
    mix: dict[str, float], corrupt: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        draw_photos(VEHICLES, mix, corrupt, 0)


@pytest.mark.parametrize("text", ["a", "a=", "a=x", "a=-1", "a=nan", "a=inf"])
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_numbers(text, "--corrupt")


def test_options_are_read() -> None:
    assert parse_numbers("a=1,b=.5", "--mix") == {"a": 1.0, "b": 0.5}
    assert parse_numbers("", "--corrupt") == {}
    assert parse_burst("5@10+2.5") == Burst(5, 10, 2.5)
    for text in ("5", "5@10", "x@1+1", "0@1+1", "5@1+0"):
        with pytest.raises(UsageError):
            parse_burst(text)
    with pytest.raises(UsageError):
        parse_numbers("a=0", "--mix")


def test_the_summary_counts_and_ranks() -> None:
    traffic = Traffic(0.0, sent=101, waiting={"c": ("bicycle", 0.0)}, latencies=[n / 100 for n in range(100)])
    traffic.outcomes["bicycle", "ROUTED"] = 99
    traffic.outcomes["noise", "LowConfidence"] = 1
    found = summarize(traffic)
    assert found["outcomes"] == {"bicycle": {"ROUTED": 99}, "noise": {"LowConfidence": 1}}
    assert found["latency_seconds"] == {"p50": 0.5, "p95": 0.95, "most": 0.99}
    assert (found["sent"], found["without_outcome"]) == (101, 1)
