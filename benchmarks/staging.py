"""How fast staging is, and how much memory it takes, beside the straightforward way of notebooks.

    python benchmarks/staging.py ARCHIVE [--rounds 9] [--rows 60000]        writes benchmarks/staging.json

ARCHIVE is the two-wheelers' cut of CIFAR-100. matplotlib, which only the notebook way needs, must be
installed: pip install matplotlib. Every measurement runs in a process of its own, the ways in turn, so that a
busy machine slows all of them alike; times are without interpreter start and imports, the median over rounds.

    two_wheelers   `notebook`: unpack, unpickle, loop over the rows, matplotlib.imsave each. `stage`: the
                   same images, and near-duplicates, split, checksums, manifests and atomic replacement.
                   Peak memory: of the process, and what it grew by after its imports. The growth is what can
                   be held against the archive's size, for no Python process with NumPy is as small as twice
                   its 3.7 MB; the whole process is held against the CIFAR-sized one. Written to memory
                   (/dev/shm), and `on_disk`: there, making 1,200 new files can take several times as long as
                   all the rest, for either way.
    cifar_sized    an archive of ROWS generated rows that packs as badly as the real one (ratio 0.9), staged
                   for two of its hundred classes; `gunzip` only decompresses it, with Python's gzip.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import pickle
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).with_suffix(".json")
ROOT = "cifar-100-python"
CLASSES = 100


def unpack_in_a_notebook(archive: Path, out: Path) -> float:
    """What most notebooks do, for both splits; returns seconds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    start = time.perf_counter()
    with tarfile.open(archive) as tar:
        tar.extractall(out, filter="data")
    for split in ("train", "test"):
        (out / "png" / split).mkdir(parents=True)
        with (out / ROOT / split).open("rb") as file:
            data = pickle.load(file, encoding="bytes")
        for row, label, name in zip(data[b"data"], data[b"fine_labels"], data[b"filenames"], strict=True):
            if label in (8, 48):
                red, green, blue = row[:1024], row[1024:2048], row[2048:]
                image = np.dstack([channel.reshape(32, 32) for channel in (red, green, blue)])
                plt.imsave(f"{out}/png/{split}/{name.decode()}", image)
    return time.perf_counter() - start


def stage_it(archive: Path, out: Path) -> float:
    """What `scones data stage` does; returns seconds."""
    from scones.data import stage

    start = time.perf_counter()
    stage(str(archive), out / "set", cache_dir=out)
    return time.perf_counter() - start


def decompress_it(archive: Path, _: Path) -> float:
    """Decompress and drop; returns seconds."""
    start = time.perf_counter()
    with gzip.open(archive) as file:
        while file.read(1 << 20):
            pass
    return time.perf_counter() - start


WAYS = {"notebook": unpack_in_a_notebook, "stage": stage_it, "gunzip": decompress_it}
IMPORTS = {"notebook": ["matplotlib.pyplot", "PIL.PngImagePlugin"], "stage": ["scones.data"], "gunzip": []}


def read_memory(key: str) -> float:
    """VmRSS or VmHWM of this process, in MB (decimal)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(key))


def run_child(way: str, archive: Path, out: Path) -> None:
    for name in IMPORTS[way]:
        __import__(name)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before, cpu = read_memory("VmRSS"), time.process_time()
    seconds = WAYS[way](archive, out)
    peak = read_memory("VmHWM")
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": time.process_time() - cpu,
                "peak_mb": peak,
                "grown_mb": peak - before,
            }
        )
    )


def measure(ways: list[str], archive: Path, rounds: int, place: Path) -> dict[str, dict[str, float]]:
    """Medians, and the least seconds, over the rounds; in each, every way once, into a folder in `place`."""
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            out = Path(tempfile.mkdtemp(prefix="staging-", dir=place))
            command = [sys.executable, __file__, str(archive), "--child", way, "--out", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            taken[way].append(json.loads(done.stdout))
            shutil.rmtree(out)
    return {
        way: {key: round(statistics.median(one[key] for one in all_of_it), 4) for key in all_of_it[0]}
        | {"least_seconds": round(min(one["seconds"] for one in all_of_it), 4)}
        for way, all_of_it in taken.items()
    }


def write_cifar_sized(path: Path, rows: int) -> None:
    """An archive as Python 2 wrote CIFAR-100's: `rows` smooth random pictures with some noise."""
    members = {"train": rows * 5 // 6, "test": rows - rows * 5 // 6}
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, count in members.items():
            add(tar, name, pickle_split(rng, name, count))
        add(tar, "meta", pickle.dumps({b"fine_label_names": name_classes()}, protocol=2))


def name_classes() -> list[bytes]:
    names = [f"class_{number}".encode() for number in range(CLASSES)]
    names[8], names[48] = b"bicycle", b"motorcycle"
    return names


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(f"{ROOT}/{name}")
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def pickle_split(rng: np.random.Generator, split: str, count: int) -> bytes:
    """Opcode by opcode what cPickle of Python 2 writes."""
    numbers = iter(range(1, 4 * count + 100))

    def put() -> bytes:
        number = next(numbers)
        return b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value + put()

    out = [b"\x80\x02}", put(), b"(", text(b"filenames"), b"]", put(), b"("]
    out += [text(f"{split}_s_{number:06d}.png".encode()) for number in range(count)]
    for key in (b"fine_labels", b"coarse_labels"):
        out += [
            b"e",
            text(key),
            b"]",
            put(),
            b"(",
            *(b"K" + bytes([number % CLASSES]) for number in range(count)),
        ]
    out += [
        b"e",
        text(b"data"),
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01J",
    ]
    out += [struct.pack("<i", count), b"M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"]
    out += [b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T", struct.pack("<I", count * 3072)]
    out += [draw_rows(rng, min(5000, count - start)) for start in range(0, count, 5000)]
    return b"".join([*out, b"tbu."])


def draw_rows(rng: np.random.Generator, count: int) -> bytes:
    """Pictures of 8x8 colours, with noise that makes gzip reach 0.9, as CIFAR-100 does."""
    coarse = rng.integers(70, 186, (count, 3, 8, 8), dtype=np.int16).repeat(4, axis=2).repeat(4, axis=3)
    noise = rng.normal(0, 12, coarse.shape).astype(np.int16)
    return np.clip(coarse + noise, 0, 255).astype(np.uint8).tobytes()


def count_unpacked(archive: Path) -> float:
    """Uncompressed size in MB (decimal)."""
    with tarfile.open(archive) as tar:
        return sum(member.size for member in tar) / 1e6


def describe(archive: Path) -> dict[str, float]:
    return {
        "packed_mb": round(archive.stat().st_size / 1e6, 2),
        "unpacked_mb": round(count_unpacked(archive), 2),
    }


def compare(archive: Path, ways: list[str], rounds: int, place: Path) -> dict[str, Any]:
    unpacked, measured = describe(archive), measure(ways, archive, rounds, place)
    other, ours = measured[ways[0]], measured["stage"]
    return {
        **unpacked,
        **measured,
        f"stage_to_{ways[0]}": round(ours["seconds"] / other["seconds"], 3),
        f"{ways[0]}_to_stage": round(other["seconds"] / ours["seconds"], 2),
        "stage_peak_to_unpacked": round(ours["peak_mb"] / unpacked["unpacked_mb"], 2),
        "stage_growth_to_unpacked": round(ours["grown_mb"] / unpacked["unpacked_mb"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--child", choices=WAYS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.child:
        run_child(options.child, options.archive, options.out)
        return
    disk = Path(tempfile.gettempdir())
    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else disk
    results: dict[str, Any] = {
        "machine": {"processor": read_processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "load_before": os.getloadavg(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "pillow", "isal", "matplotlib")},
        "rounds": options.rounds,
        "two_wheelers": compare(options.archive, ["notebook", "stage"], options.rounds, memory),
        "two_wheelers_on_disk": compare(options.archive, ["notebook", "stage"], options.rounds, disk),
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    with tempfile.TemporaryDirectory() as folder:
        big = Path(folder) / "cifar-sized.tar.gz"
        write_cifar_sized(big, options.rows)
        results["cifar_sized"] = compare(big, ["gunzip", "stage"], max(3, options.rounds // 3), memory)
    results["load_after"] = os.getloadavg()
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def read_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


if __name__ == "__main__":
    main()
