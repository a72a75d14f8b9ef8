"""A backlog through the Distributed Map, with photos that are none among it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.contract.app.conftest import Application
from tests.contract.app.endpoint import draw


def fill(application: Application, prefix: str, good: int, bad: int) -> list[str]:
    keys = [f"{prefix}{n:04d}.png" for n in range(good + bad)]
    bodies = [draw(0.99, filler=str(n).encode()) for n in range(good)] + [
        f"poison {n}".encode() for n in range(bad)
    ]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(application.put, keys, bodies))
    return keys


def test_a_prefix_with_poison_is_routed_and_counted(application: Application) -> None:
    prefix = f"backlog/{time.time_ns()}/"
    fill(application, prefix, 38, 2)
    done = application.scones(
        "workflow", "batch", "--prefix", prefix, "--tolerate", "10", "--concurrency", "8", "--json"
    )
    summary = json.loads(done.stdout)
    assert summary["outcomes"] == {"ROUTED": 38, "InvalidImage": 2}
    assert [example["s3_key"] for example in summary["examples"]] == [
        f"{prefix}0038.png",
        f"{prefix}0039.png",
    ]
    bucket = application.outputs["BucketName"]
    key = summary["summary"].removeprefix(f"s3://{bucket}/")
    written = json.loads(application.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    assert written["outcomes"] == summary["outcomes"]


def test_a_list_of_keys_and_too_many_failures(application: Application, tmp_path: Path) -> None:
    keys = fill(application, f"backlog/{time.time_ns()}/", 2, 2)
    listed = tmp_path / "keys.json"
    listed.write_text(json.dumps([*keys, "backlog/missing.png"]))
    done = application.scones("workflow", "batch", "--keys", str(listed), check=False)
    assert done.returncode == 1
    assert "3 of 5 photos failed (60.0%, tolerated are 5%)" in " ".join(done.stderr.split())


def test_an_empty_batch_is_refused(application: Application) -> None:
    done = application.scones("workflow", "batch", "--prefix", "backlog/nothing/", check=False)
    assert done.returncode == 1
    assert "No photos" in done.stderr
    assert application.scones("workflow", "batch", check=False).returncode == 2
