"""Lets drivers check in with the test images, and waits for the outcomes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice

from scones.aws.checkins import ARRIVALS, CheckIn, find_photo, put_photo, read_outcomes
from scones.aws.sessions import Cloud
from scones.data.dataset import Dataset, Image
from scones.errors import CloudError
from scones.run.plan import Progress, ignore_progress

WORKERS = 8
DRIVERS = 50
AT_ONCE = (
    16  # check-ins under way: enough to keep a small machine busy, few enough to measure each one's time
)
PATIENCE = 300.0  # seconds without any new outcome
POLL = 0.1


def send_images(
    cloud: Cloud,
    outputs: Mapping[str, str],
    dataset: Dataset,
    wave: str,
    most: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, Image]:
    """Let a driver check in with each test image, and wait until all have an outcome; images by check-in id.

    `most` 0 means all of them. `wave` names these check-ins: an image of a wave starts one execution, however
    often it is sent. Raises CloudError when outcomes stop coming.
    """
    bucket, table = outputs["BucketName"], outputs["CheckinsTableName"]

    def send(photo: tuple[str, Image]) -> tuple[str, Image]:
        key, image = photo
        return put_photo(cloud, bucket, key, dataset.path(image).read_bytes()).checkin_id, image

    photos = list_photos(dataset, wave, most)
    with ThreadPoolExecutor(WORKERS) as pool:
        return _send_all(
            photos,
            lambda some: dict(pool.map(send, some)),
            lambda ids: set(read_outcomes(cloud, table, ids)),
            progress,
        )


def find_images(
    cloud: Cloud, outputs: Mapping[str, str], dataset: Dataset, wave: str, most: int = 0
) -> dict[str, Image] | None:
    """What `send_images` would return, if all of this wave have an outcome already; else None."""
    bucket = outputs["BucketName"]
    photos = list_photos(dataset, wave, most)
    with ThreadPoolExecutor(WORKERS) as pool:
        known = list(pool.map(lambda photo: find_photo(cloud, bucket, photo[0]), photos))
    if not all(checkin.etag for checkin in known):
        return None
    by_id = {checkin.checkin_id: image for checkin, (_, image) in zip(known, photos, strict=True)}
    outcomes = read_outcomes(cloud, outputs["CheckinsTableName"], by_id)
    return by_id if len(outcomes) == len(by_id) else None


def find_wave(
    cloud: Cloud, outputs: Mapping[str, str], dataset: Dataset, base: str, again: bool = False
) -> str:
    """The latest of the waves base, base-1, … that has begun, or the one after it when asked `again`."""
    wave = base
    for number in count(1):
        following = f"{base}-{number}"
        [(first, _)] = list_photos(dataset, following, 1)
        if not find_photo(cloud, outputs["BucketName"], first).etag:
            return following if again else wave
        wave = following
    raise AssertionError("counting ends never")


def list_photos(dataset: Dataset, wave: str, most: int = 0) -> list[tuple[str, Image]]:
    """The keys of a wave's photos, and the test images that they show; `most` 0 means all."""
    images = dataset.select("test")
    images = images[:: max(1, len(images) // most)][:most] if most else images
    return [
        (f"{ARRIVALS}/driver-{number % DRIVERS:02}/{wave}/{image.file}", image)
        for number, image in enumerate(images)
    ]


def name_inferences(ids: Iterable[str]) -> dict[str, str]:
    """By check-in id, the inference id that classifyImage sends: the name of its execution."""
    return {checkin_id: parse_checkin(checkin_id).execution[-64:] for checkin_id in ids}


def parse_checkin(checkin_id: str) -> CheckIn:
    """The check-in of an id."""
    place, _, etag = checkin_id.rpartition("@")
    bucket, _, key = place.partition("/")
    return CheckIn(bucket, key, etag)


def _send_all(
    photos: Sequence[tuple[str, Image]],
    send: Callable[[Sequence[tuple[str, Image]]], dict[str, Image]],
    find_decided: Callable[[set[str]], set[str]],
    progress: Progress,
) -> dict[str, Image]:
    """Send photos so that never more than AT_ONCE wait for their outcome, until all have theirs."""
    left: Iterator[tuple[str, Image]] = iter(photos)
    sent: dict[str, Image] = {}
    waiting: set[str] = set()
    since = time.monotonic()
    while waiting or len(sent) < len(photos):
        fresh = send(list(islice(left, AT_ONCE - len(waiting))))
        sent |= fresh
        waiting |= fresh.keys()
        decided = find_decided(waiting)
        if decided:
            waiting -= decided
            since = time.monotonic()
            progress("Check-ins with an outcome", len(sent) - len(waiting), len(photos))
        elif time.monotonic() - since > PATIENCE:
            raise CloudError(
                f"{len(waiting)} of {len(photos)} check-ins wait, and no outcome came for {PATIENCE:g} s.",
                "See the log of the function start-delivery.",
            )
        else:
            time.sleep(POLL)
    return sent
