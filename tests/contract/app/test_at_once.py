"""Many check-ins at once, duplicated events, killed processes: nothing is lost, nothing given twice.

`benchmarks/checkins.py` does the same with thousands.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.contract.app.conftest import Application
from tests.contract.app.endpoint import draw

CHECKINS = 120


def deliver_again(application: Application, keys: list[str], etags: dict[str, str]) -> None:
    """EventBridge delivers at least once: some events come again."""
    sqs, bucket = application.client("sqs"), application.outputs["BucketName"]
    for key in keys:
        detail = {"bucket": {"name": bucket}, "object": {"key": key, "etag": etags[key]}}
        sqs.send_message(
            QueueUrl=application.outputs["CheckinsQueueUrl"], MessageBody=json.dumps({"detail": detail})
        )


def read_all(table: Any) -> list[dict[str, Any]]:
    items, more = [], {}
    while True:
        page = table.scan(**more)
        items += page["Items"]
        if "LastEvaluatedKey" not in page:
            return items
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def test_no_order_twice_no_checkin_lost(application: Application) -> None:
    chance = random.Random(7)
    application.scones("app", "seed", "--orders", str(CHECKINS // 2), "--seed", "7")
    application.configure("sweep-checkins", PATIENCE_MINUTES="0")
    names = {
        f"incoming/driver-{n}/{time.time_ns()}.png": chance.choice([0.99, 0.01, 0.6]) for n in range(CHECKINS)
    }
    with ThreadPoolExecutor(8) as pool:
        ids = dict(
            zip(names, pool.map(lambda key: application.put(key, draw(names[key])), names), strict=True)
        )
        etags = {key: one.rpartition("@")[2] for key, one in ids.items()}
        again = pool.submit(deliver_again, application, chance.sample(sorted(names), CHECKINS // 3), etags)
        killed, deadline = 0, time.monotonic() + 120
        while time.monotonic() < deadline:
            records = {r["checkin_id"]: r for r in read_all(application.table("Checkins"))}
            if again.done() and all("outcome" in records.get(one, {}) for one in ids.values()):
                break
            if killed < 15:
                killed += application.kill_a_worker(chance)
            else:
                application.sweep()
            time.sleep(0.3)
    again.result()
    assert killed >= 5
    assert [one for one in ids.values() if "outcome" not in records.get(one, {})] == []

    expected = {ids[key]: "LowConfidence" if p == 0.6 else "ROUTED" for key, p in names.items()}
    assert {one: records[one]["outcome"] for one in expected} == expected

    given = Counter(r["order_id"] for r in records.values() if r.get("order_id"))
    assert [order for order, times in given.items() if times > 1] == []
    owners = {
        o["order_id"]: o["checkin_id"] for o in read_all(application.table("Orders")) if "open" not in o
    }
    assert owners == {r["order_id"]: r["checkin_id"] for r in records.values() if r.get("order_id")}

    sqs = application.client("sqs")
    queues = [entry for entry in sqs.list_queues()["QueueUrls"] if "DeadLetters" in entry]
    assert len(queues) == 3
    for queue in queues:
        counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
        assert counts["Attributes"]["ApproximateNumberOfMessages"] == "0", queue
