"""What the application does on the local cloud with the real endpoint: latency, losses under stress, batches.

    python -P benchmarks/checkins.py --model MODEL.tar.gz --data STAGED [--only PART] [--quick]

Writes benchmarks/checkins.json. Each part runs on a fresh local cloud with IAM enforcement on and the model
behind a SageMaker endpoint of two instances; the photos are the staged test images (the real 200).

    latency  all photos, one after the other: milliseconds from the upload's start to the decision, and in
             each state (execution history); does every outcome follow from the endpoint's own answer?
    storm    2,000 photos by 64 senders, a third of the events delivered twice, a worker process of Lambda
             killed every second while they arrive: outcomes missing, orders given twice, messages lost
    odd      a 12-megapixel JPEG, a 31-byte file, a text named .png, noise, a missing key, a deleted endpoint:
             the outcome of each and what the operator is told
    batch    1,000 photos (5% poison) by route_batch, against 100 of them one after the other by the command
             `scones workflow run KEY...`, and 100 by the tightest loop there is (StartExecution, then
             DescribeExecution every 5 ms)
    backlog  the same with 10,000 photos
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from botocore.exceptions import BotoCoreError
from PIL import Image

from local_cloud import lifecycle
from scones.aws.checkins import CheckIn, put_photo, read_outcomes
from scones.aws.executions import follow_execution, read_execution, start_execution
from scones.aws.orders import seed_bays, seed_orders
from scones.aws.sessions import Cloud, connect
from scones.aws.stacks import execute, prepare
from scones.data.dataset import read_dataset

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_suffix(".json")
ENDPOINT = "scones-vehicles"
THRESHOLD, MAX_OOD = 0.93, 0.99  # the template's defaults


class Ground:
    """A fresh local cloud with endpoint and application."""

    def __init__(self, cloud: Cloud, directory: Path, outputs: dict[str, str]) -> None:
        self.cloud, self.directory, self.outputs = cloud, directory, outputs
        self.bucket, self.checkins = outputs["BucketName"], outputs["CheckinsTableName"]

    def scan(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = self.cloud.table(self.outputs[f"{table}TableName"]).scan(**more)
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def find_workers(self) -> list[int]:
        """Processes in which functions run."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if b"awslambdaric" in command and str(self.directory).encode() in command:
                found.append(int(entry.name))
        return found


@contextmanager
def prepare_ground(model: Path, orders: int) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        mounts = dict.fromkeys(("sagemaker", "application-autoscaling"), "scones.cli.sagemaker:create_app")
        _, keeper = lifecycle.start(directory, lifecycle.Start(port=0, mounts=mounts, timeout=300))
        try:
            os.environ.pop("AWS_ENDPOINT_URL", None)
            cloud = connect("local", "us-east-1", os.environ, lambda: lifecycle.environment(directory))
            deploy_endpoint(cloud, model)
            change_set = prepare(cloud, "scones", ROOT / "template.yaml", {"EndpointName": ENDPOINT})
            assert change_set is not None
            ground = Ground(cloud, directory, execute(cloud, change_set, lambda *_: None))
            seed_bays(cloud, ground.outputs["BaysTableName"])
            seed_orders(cloud, ground.outputs["OrdersTableName"], orders)
            yield ground
        finally:
            lifecycle.stop(directory)
            keeper.wait()


def deploy_endpoint(cloud: Cloud, model: Path) -> None:
    s3, sagemaker, bucket = cloud.client("s3"), cloud.client("sagemaker"), f"models-{cloud.account}"
    s3.create_bucket(Bucket=bucket)
    s3.upload_file(str(model), bucket, "model.tar.gz")
    container = {
        "Image": f"{cloud.account}.dkr.ecr.us-east-1.amazonaws.com/scones:1",
        "ModelDataUrl": f"s3://{bucket}/model.tar.gz",
    }
    role = cloud.client("iam").list_roles()["Roles"][0]["Arn"]
    sagemaker.create_model(ModelName=ENDPOINT, PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "AllTraffic", "ModelName": ENDPOINT, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=ENDPOINT, ProductionVariants=[{**variant, "InitialInstanceCount": 2}]
    )
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
    while (status := sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointStatus"]) == "Creating":
        time.sleep(1)
    assert status == "InService", status


def await_outcomes(ground: Ground, ids: list[str], patience: float) -> dict[str, Any]:
    deadline, found = time.monotonic() + patience, {}
    while len(found) < len(set(ids)) and time.monotonic() < deadline:
        found |= read_outcomes(ground.cloud, ground.checkins, [one for one in ids if one not in found])
        time.sleep(0.02 if len(ids) == 1 else 1)
    return found


def measure_latency(model: Path, photos: list[bytes]) -> dict[str, Any]:
    whole, states = [], {}
    with prepare_ground(model, orders=len(photos)) as ground:
        machine = ground.outputs["RouteDeliveryArn"].replace(":stateMachine:", ":execution:")
        agree, outcomes = 0, Counter()
        for number, photo in enumerate(photos):
            began = time.time()
            checkin = put_photo(ground.cloud, ground.bucket, f"incoming/d/{number:04d}.png", photo)
            outcome = await_outcomes(ground, [checkin.checkin_id], 60)[checkin.checkin_id]
            *_, execution = follow_execution(ground.cloud, f"{machine}:{checkin.execution}")
            outcomes[outcome.outcome] += 1
            agree += outcome.outcome == expect(ground.cloud, photo)
            if number >= 10 and outcome.outcome == "ROUTED":  # the first calls start processes
                whole.append(datetime.fromisoformat(outcome.decided_at).timestamp() - began)
                for step in execution.steps:
                    states.setdefault(step.state, []).append(step.seconds)
    return {
        "photos": len(photos),
        "outcomes": dict(outcomes),
        "outcomes_that_follow_from_the_endpoint_s_answer": agree,
        "upload_to_order_ms": quantiles(whole),
        "states_ms": {name: quantiles(values) for name, values in states.items()},
    }


def measure_odd(model: Path, photos: list[bytes]) -> dict[str, Any]:
    with prepare_ground(model, orders=10) as ground:
        told = {name: end(ground, name, body) for name, body in draw_odd(photos[0]).items()}
        told["missing key"] = end(ground, "missing key", None)
        ground.cloud.client("sagemaker").delete_endpoint(EndpointName=ENDPOINT)
        time.sleep(5)
        told["deleted endpoint"] = end(ground, "deleted endpoint", photos[0])
    return told


def draw_odd(photo: bytes) -> dict[str, bytes]:
    """A thumbnail blown up to 4000 x 3000 pixels with a phone's orientation tag, and what is no photo."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # lies on its side
    with Image.open(io.BytesIO(photo)) as image:
        large = image.convert("RGB").resize((4000, 3000)).rotate(90, expand=True)
    large.save(buffer, "JPEG", quality=95, exif=exif)
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    noise = io.BytesIO()
    Image.fromarray(pixels).save(noise, "PNG")
    return {
        "12-megapixel JPEG": buffer.getvalue(),
        "31-byte file": bytes(range(31)),
        "text named .png": b"This is not a picture of a bicycle.\n",
        "noise": noise.getvalue(),
    }


def end(ground: Ground, name: str, body: bytes | None) -> dict[str, Any]:
    key = f"incoming/driver-1/{name}.png"
    if body is None:
        checkin = CheckIn(ground.bucket, key, "")
        start_execution(
            ground.cloud, ground.outputs["RouteDeliveryArn"], {"s3_bucket": ground.bucket, "s3_key": key}
        )
    else:
        checkin = put_photo(ground.cloud, ground.bucket, key, body)
    found = await_outcomes(ground, [checkin.checkin_id], 180).get(checkin.checkin_id)
    if found is None:
        return {"outcome": "none"}
    told = found.reason.replace(ground.bucket, "BUCKET")
    return {
        "bytes": len(body or b""),
        "outcome": found.outcome,
        "told": told or found.decision["vehicle_class"],
    }


def expect(cloud: Cloud, photo: bytes) -> str:
    """What the outcome must be, from the endpoint's own answer."""
    runtime = cloud.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=ENDPOINT, ContentType="image/png", Body=photo)
    sure = max(json.loads(answer["Body"].read())) >= THRESHOLD
    beside = dict(pair.split("=") for pair in answer["CustomAttributes"].split(","))
    return "ROUTED" if sure and float(beside["ood"]) <= MAX_OOD else "LowConfidence"


def quantiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=20)
    return {"p50": round(1000 * cuts[9], 1), "p95": round(1000 * cuts[18], 1), "n": len(seconds)}


def measure_storm(model: Path, photos: list[bytes], count: int, seed: int = 0) -> dict[str, Any]:
    chance = random.Random(seed)
    with prepare_ground(model, orders=count // 2) as ground:
        hurry_sweeper(ground)
        stop, killed = threading.Event(), [0]
        killer = threading.Thread(target=kill_workers, args=(ground, chance, stop, killed))
        killer.start()
        began = time.monotonic()
        with ThreadPoolExecutor(64) as pool:
            checkins = list(pool.map(lambda n: send(ground, n, photos[n % len(photos)]), range(count)))
            list(
                pool.map(lambda checkin: deliver_again(ground, checkin), chance.sample(checkins, count // 3))
            )
        sent = time.monotonic() - began
        ids, found, sweeps = [checkin.checkin_id for checkin in checkins], {}, Counter()
        while len(found) < count and time.monotonic() - began < 900:
            found |= read_outcomes(ground.cloud, ground.checkins, [one for one in ids if one not in found])
            if time.monotonic() - began > sent + 60:
                stop.set()
                sweeps.update(sweep(ground))
            time.sleep(2)
        stop.set()
        killer.join()
        return {
            "checkins": count,
            "delivered_twice": count // 3,
            "processes_killed": killed[0],
            "seconds_to_send": round(sent, 1),
            "seconds_until_the_last_outcome": round(time.monotonic() - began, 1),
            "sent_again_by_the_sweeper": sweeps["again"],
            "abandoned": sweeps["abandoned"],
            "without_outcome": count - len(found),
            "outcomes": dict(Counter(outcome.outcome for outcome in found.values())),
            **check_orders(ground),
            "dead_letters": count_dead_letters(ground),
        }


def hurry_sweeper(ground: Ground) -> None:
    client, name = ground.cloud.client("lambda"), "scones-sweep-checkins"
    before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**before, "PATIENCE_MINUTES": "1"}}
    )


def kill_workers(ground: Ground, chance: random.Random, stop: threading.Event, killed: list[int]) -> None:
    while not stop.wait(1):
        if workers := ground.find_workers():
            try:
                os.kill(chance.choice(workers), 9)
                killed[0] += 1
            except ProcessLookupError:
                continue


def send(ground: Ground, number: int, photo: bytes) -> CheckIn:
    key = f"incoming/driver-{number:04d}/{number}.png"
    return put_photo(ground.cloud, ground.bucket, key, photo)


def deliver_again(ground: Ground, checkin: CheckIn) -> None:
    detail = {"bucket": {"name": checkin.bucket}, "object": {"key": checkin.key, "etag": checkin.etag}}
    ground.cloud.client("sqs").send_message(
        QueueUrl=ground.outputs["CheckinsQueueUrl"], MessageBody=json.dumps({"detail": detail})
    )


def sweep(ground: Ground) -> dict[str, int]:
    try:
        answer = ground.cloud.client("lambda").invoke(FunctionName="scones-sweep-checkins", Payload=b"{}")
    except BotoCoreError:  # it goes on without us
        return {}
    return {} if "FunctionError" in answer else dict(json.loads(answer["Payload"].read()))


def check_orders(ground: Ground) -> dict[str, int]:
    records = [record for record in ground.scan("Checkins") if record.get("order_id")]
    given = Counter(record["order_id"] for record in records)
    owners = {order["order_id"]: order.get("checkin_id") for order in ground.scan("Orders")}
    return {
        "orders_given": len(given),
        "orders_given_twice": sum(times > 1 for times in given.values()),
        "orders_whose_owner_disagrees": sum(owners[r["order_id"]] != r["checkin_id"] for r in records)
        + sum(bool(owner) for owner in owners.values())
        - len(records),
    }


def count_dead_letters(ground: Ground) -> int:
    sqs = ground.cloud.client("sqs")
    total = 0
    for queue in sqs.list_queues()["QueueUrls"]:
        if "DeadLetters" in queue:
            found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
            total += int(found["Attributes"]["ApproximateNumberOfMessages"])
    return total


def measure_batch(model: Path, photos: list[bytes], count: int, alone: int) -> dict[str, Any]:
    with prepare_ground(model, orders=min(count, 1000)) as ground:
        bodies = [b"poison" if n % 20 == 7 else photos[n % len(photos)] for n in range(count)]
        keys = [f"backlog/{n:05d}.png" for n in range(count)]
        with ThreadPoolExecutor(16) as pool:
            list(
                pool.map(
                    lambda pair: put_photo(ground.cloud, ground.bucket, *pair), zip(keys, bodies, strict=True)
                )
            )
        began = time.monotonic()
        for key in keys[:alone]:
            route_alone(ground, key)
        in_a_loop = (time.monotonic() - began) / alone
        began = time.monotonic()
        run_command(ground, keys[alone : 2 * alone])
        by_command = (time.monotonic() - began) / alone
        event = {"prefix": "backlog/", "concurrency": 40, "tolerated_failure_percentage": 50}
        arn = start_execution(ground.cloud, ground.outputs["RouteBatchArn"], event)
        while (batch := read_execution(ground.cloud, arn)).status == "RUNNING":
            time.sleep(0.5)
        assert batch.status == "SUCCEEDED", batch.cause
    return {
        "photos": count,
        "poison": sum(body == b"poison" for body in bodies),
        "outcomes": batch.output["outcomes"],
        "batch_seconds": round(batch.seconds, 1),
        "one_after_the_other_n": alone,
        "by_command_seconds_each": round(by_command, 3),
        "in_a_loop_seconds_each": round(in_a_loop, 3),
        "times_as_fast_as_the_command": round(by_command * count / batch.seconds, 2),
        "times_as_fast_as_the_loop": round(in_a_loop * count / batch.seconds, 2),
    }


def route_alone(ground: Ground, key: str) -> None:
    event = {"s3_bucket": ground.bucket, "s3_key": key}
    arn = start_execution(ground.cloud, ground.outputs["RouteDeliveryArn"], event)
    states = ground.cloud.client("stepfunctions")
    while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
        time.sleep(0.005)


def run_command(ground: Ground, keys: list[str]) -> None:
    """`scones workflow run KEY...`; exit code 1, as some are poison."""
    command = [sys.executable, "-P", "-m", "scones", "workflow", "run", *keys]
    settings = {"SCONES_STATE_DIR": str(ground.directory)}
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "were not routed" in done.stderr, done.stderr


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", choices=["latency", "odd", "storm", "batch", "backlog"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--checkins", type=int, default=2000, help="of the storm")
    asked = parser.parse_args()
    dataset = read_dataset(asked.data)
    photos = [dataset.path(image).read_bytes() for image in dataset.select("test")]
    size = 10 if asked.quick else 1
    parts = {
        "latency": lambda: measure_latency(asked.model, photos[:: 4 if asked.quick else 1]),
        "odd": lambda: measure_odd(asked.model, photos),
        "storm": lambda: measure_storm(asked.model, photos, asked.checkins // size),
        "batch": lambda: measure_batch(asked.model, photos, 1000 // size, 100 // size),
        "backlog": lambda: measure_batch(asked.model, photos, 10_000 // size, 100 // size),
    }
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, part in parts.items():
        if asked.only in (None, name):
            before = os.getloadavg()[0]
            results[name] = {**part(), "load_average_before": round(before, 1), "environment": describe()}
            print(json.dumps({name: results[name]}, indent=2))
            if not asked.quick:
                RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def describe() -> dict[str, Any]:
    return {
        "date": datetime.now().astimezone().date().isoformat(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        **{name: version(name) for name in ("ministack", "boto3", "awslambdaric", "onnxruntime")},
    }


if __name__ == "__main__":
    main()
