"""How fast one model is served: through the gateway, by the bare container, by its peers, against the bound.

    python benchmarks/endpoint.py --model model.tar.gz [--rounds 3] [--seconds 2.5]    writes endpoint.json

One ONNX graph, the same 100 PNG pictures of 32 x 32 for everyone, and a closed loop of 1, 8 and 32 clients
(closed_loop.py), which shares the cores with the server it asks. The bound is what these cores can do without
any server: Pillow decodes and ONNX Runtime infers in one process, on as many threads as there are clients, at
most one for each core, one picture at a time (`bound`) or up to eight in a batch where clients wait
(`bound_batched`). It has the cores to itself and computes no out-of-distribution score, unlike the container.

Rounds are interleaved, because machines are not quiet: each round measures everyone, and medians over the
rounds are reported; shares of the bound are taken within a round. Beside the throughput stands the processor
time for each request (all processes of the server, without the clients; theirs is `clients_ms`), which other
programs on the machine disturb far less, and the share of the bound's rate that it allows
(`share_by_processor`).

The gateway is `scones up` with signed requests; its second run captures every invocation.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import contestants
import numpy as np
from contestants import Contestant
from peers.classifier import Classifier
from PIL import Image

RESULTS = Path(__file__).with_suffix(".json")
CLIENTS = (1, 8, 32)
CORES = len(os.sched_getaffinity(0))
PEERS = ("bentoml", "litserve", "mlflow")


def draw_images(count: int = 100) -> list[bytes]:
    """PNGs of 32 x 32 noise, always the same."""
    chance = np.random.default_rng(0)
    images = []
    for _ in range(count):
        buffer = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "PNG")
        images.append(buffer.getvalue())
    return images


def measure_bound(
    graph: Path, images: list[bytes], clients: int, seconds: float, most: int
) -> dict[str, Any]:
    """Decode and infer in this process; a thread takes a batch as large as its share of the clients."""
    classifier = Classifier(str(graph))
    threads = min(clients, CORES)
    batch = max(1, min(most, clients // threads))
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def work() -> None:
        number = 0
        while (began := time.perf_counter()) < end:
            chosen = [images[(number + each) % len(images)] for each in range(batch)]
            classifier.infer([classifier.decode(image) for image in chosen])
            taken.extend([(time.perf_counter() - began) * 1000] * batch)
            number += batch

    workers = [threading.Thread(target=work) for _ in range(threads)]
    begin, processor = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = time.perf_counter() - begin
    return summarise(elapsed, taken, 0, time.process_time() - processor)


def measure_server(server: Contestant, images: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """A closed loop of clients against a server."""
    with tempfile.NamedTemporaryFile() as file:
        for image in images:
            request = server.ask(image)
            file.write(len(request).to_bytes(4) + request)
        file.flush()
        program = Path(__file__).with_name("closed_loop.py")
        arguments = [str(server.port), str(clients), str(seconds), file.name]
        before = server.read_processor()
        output = subprocess.run(
            [sys.executable, program, *arguments], check=True, capture_output=True, text=True
        ).stdout
        processor = server.read_processor() - before
    result = json.loads(output)
    # The warm-up's requests are in the processor time, too.
    whole = (result["seconds"] + seconds / 6) / result["seconds"]
    found = summarise(result["seconds"], result["latencies"], result["failed"], processor / whole)
    found["clients_ms"] = result["processor"] / whole / found["requests"] * 1000
    return found


def summarise(seconds: float, latencies: list[float], failed: int, processor: float) -> dict[str, Any]:
    """One measurement: rates in 1/s, times in ms."""
    ordered = sorted(latencies)
    each = processor / len(ordered) * 1000
    return {
        "rate": len(ordered) / seconds,
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
        "processor_ms": each,
        "failed": failed,
        "requests": len(ordered),
    }


def measure_all(model: Path, options: argparse.Namespace, scratch: Path) -> dict[str, list[dict[str, Any]]]:
    """Every measurement of every round, by `name/clients`."""
    images = draw_images()
    graph = scratch / "model.onnx"
    with tarfile.open(model) as archive:
        archive.extract("model.onnx", scratch, filter="data")
    found: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as running:
        servers = []
        for each in list_contestants(model, graph, options, scratch):
            servers.append(server := running.enter_context(each))
            running.callback(server.send, signal.SIGCONT)  # before it is asked to stop
            server.send(signal.SIGSTOP)
            print(f"{server.name} is ready", file=sys.stderr)
        for turn in range(options.rounds):
            for clients in CLIENTS:
                bounds = (("bound", 1), ("bound_batched", 8))
                for name, most in bounds:
                    one = measure_bound(graph, images, clients, options.seconds, most)
                    found.setdefault(f"{name}/{clients}", []).append(one)
                for server in servers:
                    with server.awake():
                        one = measure_server(server, images, clients, options.seconds)
                    found.setdefault(f"{server.name}/{clients}", []).append(one)
                    print(f"round {turn} {server.name}/{clients}: {one['rate']:.1f}/s", file=sys.stderr)
    return found


def list_contestants(model: Path, graph: Path, options: argparse.Namespace, scratch: Path) -> list[Any]:
    """Context managers of all servers that take part."""
    for name in ("container", *options.peers):
        (scratch / name).mkdir()
    chosen: list[Any] = [contestants.serve_container(model, scratch / "container", CORES)]
    if options.gateway:
        chosen += [contestants.serve_gateway(model, capture) for capture in (False, True)]
    for name in options.peers:
        chosen.append(getattr(contestants, f"serve_{name}")(graph, scratch / name, CORES))
    return chosen


def report(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over the rounds, and each rate as a share of the bound of as many clients."""
    medians = {
        name: {key: round(statistics.median(one[key] for one in rounds), 3) for key in rounds[0]}
        for name, rounds in found.items()
    }
    for name, values in medians.items():
        server, _, clients = name.rpartition("/")
        for base in ("bound", "bound_batched", *(["gateway"] if server == "gateway_capture" else ())):
            values[f"share_of_{base}"] = compare(found[name], found[f"{base}/{clients}"])
        least = medians[f"bound/{clients}"]["processor_ms"]
        values["share_by_processor"] = round(least / values["processor_ms"], 3)
    return medians


def compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """Our rate as a share of theirs, within a round: then the machine is as busy for one as for the other."""
    shares = [one["rate"] / other["rate"] for one, other in zip(ours, theirs, strict=True)]
    return round(statistics.median(shares), 3)


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on."""
    packages = ("onnxruntime", "numpy", "pillow", "uvicorn", "httptools")
    return {
        "processor": _read_processor_name(),
        "cores": CORES,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "peers": {name: _read_pins(name) for name in PEERS},
        "load_average_before": round(os.getloadavg()[0], 1),
    }


def _read_processor_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))


def _read_pins(name: str) -> list[str]:
    return (Path(__file__).with_name("peers") / f"{name}.txt").read_text().split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model.tar.gz of `scones model train`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--no-gateway", dest="gateway", action="store_false")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stop the servers also then
    machine = describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        found = measure_all(options.model, options, Path(scratch))
    machine["load_average_after"] = round(os.getloadavg()[0], 1)
    settings = {"rounds": options.rounds, "seconds": options.seconds, "clients": CLIENTS}
    result = {"machine": machine, "settings": settings, "medians": report(found)}
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    for name, values in result["medians"].items():
        shares = f"{values['share_of_bound']:6.1%} {values['share_by_processor']:6.1%}"
        print(f"{name:18} {values['rate']:8.1f}/s {shares}  p99 {values['p99']:.1f} ms")


if __name__ == "__main__":
    main()
