"""What one answer costs: latency of single pictures and throughput, 8 and 32 bits, 1 and 2 threads.

    python benchmarks/inference.py MODEL_DIR DATA [RESULTS]     writes RESULTS, or benchmarks/inference.json

MODEL_DIR is an unpacked artifact (8 bits). The 32-bit graph is the same network with ImageNet's weights,
which costs what the original does. Decoding is included; pictures are the staged test split's PNG files
(32x32) and one 12-megapixel JPEG made here.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from torch import nn
from train import describe_machine

from scones.container.prediction import load_predictor
from scones.model.dataset import load_staged
from scones.model.export import build_onnx
from scones.model.network import EMBEDDING, load_imagenet
from scones.model.pixels import decode

REPEATS = 200


def main() -> None:
    folder, data = Path(sys.argv[1]), Path(sys.argv[2])
    files = [path.read_bytes() for path in load_staged(data, ["test"]).splits["test"].files]
    predictor, photo = load_predictor(folder), _make_photo()
    result: dict[str, Any] = {"machine": describe_machine(), "repeats": REPEATS}
    result["load_before"] = os.getloadavg()[0]
    result["artifact_mb"] = (folder / "model.onnx").stat().st_size / 1e6
    with tempfile.TemporaryDirectory() as scratch:
        graphs = {"8 bits": folder / "model.onnx", "32 bits": _write_full(Path(scratch) / "full.onnx")}
        for name, graph in graphs.items():
            for threads in (1, 2):
                result[f"{name}, {threads} thread{'s' * (threads > 1)}"] = _measure_graph(
                    graph, files, threads
                )
    result["whole answer, 1 thread"] = {
        "thumbnail_ms": _time(lambda i: predictor.infer([predictor.decode(files[i % len(files)])])),
        "thumbnail_thread_cpu_ms": _time(
            lambda i: predictor.infer([predictor.decode(files[i % len(files)])]), place=1
        ),
        "photo_12mp_jpeg_ms": _time(lambda i: predictor.infer([predictor.decode(photo)]), 20),
        "decode_thumbnail_ms": _time(lambda i: decode(files[i % len(files)])),
    }
    result["two at a time, 1 thread each"] = {"pictures_per_second": _measure_pool(predictor, files)}
    results = Path(sys.argv[3]) if len(sys.argv) > 3 else Path(__file__).with_suffix(".json")
    results.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _write_full(path: Path) -> Path:
    """A 32-bit graph of the same shape; what its weights are does not matter for its speed."""
    network = load_imagenet()
    network.classifier = nn.Linear(EMBEDDING, 2)
    path.write_bytes(build_onnx(network, 1.0).SerializeToString())
    return path


def _make_photo() -> bytes:
    small = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _measure_graph(graph: Path, files: list[bytes], threads: int) -> dict[str, float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(graph), options)
    spent = np.array(
        [
            _time_once(lambda i=i: session.run(None, {"pixels": decode(files[i % len(files)])[None]}))
            for i in range(REPEATS)
        ]
    )[20:]
    batch = np.stack([decode(content) for content in files[:50]])
    together = _time(lambda i: session.run(None, {"pixels": batch}), 10)
    return {
        "batch_1_median_ms": float(np.median(spent[:, 0])),
        "batch_1_best_ms": float(spent[:, 0].min()),
        # What the calling thread computed: with one thread all there is, whatever else the machine does.
        "batch_1_median_thread_cpu_ms": float(np.median(spent[:, 1])),
        "batch_50_pictures_per_second": 50_000 / together,
    }


def _time_once(call: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds of a call on the clock, and of its thread's computing."""
    wall, thread = time.perf_counter(), time.thread_time()
    call()
    return (time.perf_counter() - wall) * 1000, (time.thread_time() - thread) * 1000


def _time(call: Callable[[int], Any], repeats: int = REPEATS, place: int = 0) -> float:
    """Median milliseconds of a call on the clock (place 0) or of its thread's computing (1)."""
    return float(np.median([_time_once(lambda i=i: call(i))[place] for i in range(repeats)]))


def _measure_pool(predictor: Any, files: list[bytes]) -> float:
    with ThreadPoolExecutor(2) as pool:
        started = time.perf_counter()
        list(pool.map(lambda content: predictor.infer([predictor.decode(content)]), files * 3))
    return 3 * len(files) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
