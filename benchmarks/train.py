"""Trains the classifier many times on CIFAR-100's two-wheelers and measures it.

    python benchmarks/train.py stage ARCHIVE    stage the archive
    python benchmarks/train.py all              everything below, inference.py and goals.py
    python benchmarks/train.py timed 0          the default recipe with the machine to itself, for its time
    python benchmarks/train.py quick 0-2        the quick recipe, likewise
    python benchmarks/train.py folds 0-4        five-fold cross-validation; the test split is not read
    python benchmarks/train.py seeds 0-9        the default recipe on the training split, one run a seed
    python benchmarks/train.py quick-folds 0-4  cross-validation of the quick recipe
    python benchmarks/train.py baselines        frozen backbone + logistic regression; ResNet-20 from scratch
    python benchmarks/train.py measure          score every run and write benchmarks/train.json
    python benchmarks/train.py table            print the README's table from benchmarks/train.json

Runs are kept in .scones/benchmark, apart for each state of src/scones/model, and are not repeated: a run that
was cut short goes on at the next call. With `--jobs 2` two runs share the cores, which is faster in all;
`timed` and `quick` runs tell the recipe's own time. Photos (`--photos DIR`, one folder a class) and unrelated
pictures (`--unrelated DIR`) are scored when they are there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scones.container.prediction import load_predictor
from scones.model import pixels
from scones.model.artifact import RUN, open_artifact
from scones.model.calibration import measure_calibration_error
from scones.model.dataset import Dataset, Split, load_staged
from scones.model.evaluation import evaluate_answers
from scones.model.recipe import QUICK, Recipe
from scones.model.threads import wait_passively

HERE = Path(__file__).parent
DATA = HERE.parent / ".scones" / "benchmark" / "data"
RESULT = HERE / "train.json"
FOLDS = 5
THRESHOLD = 0.93


def find_place() -> Path:
    """Where the runs of this very code are kept."""
    code, total = sorted((HERE.parent / "src" / "scones" / "model").glob("*.py")), hashlib.sha256()
    for path in code:
        total.update(path.name.encode() + path.read_bytes())
    return DATA.parent / f"code-{total.hexdigest()[:12]}"


RUNS = find_place()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", choices=["stage", "all", "baselines", "baseline", "measure", "table", *KINDS, "one"]
    )
    parser.add_argument("which", nargs="*", default=["0-9"])
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time.")
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--unrelated", type=Path)
    arguments = parser.parse_args()
    if arguments.what in KINDS:
        run_all(arguments.what, arguments.which[0], arguments.jobs)
    elif arguments.what == "one":
        run_one(arguments.which[0], *map(int, arguments.which[1:3]))
    elif arguments.what == "baseline":
        run_baseline(arguments.which[0])
    else:
        {"stage": lambda: stage(arguments.which[0]), "baselines": run_baselines, "table": print_table,
         "measure": lambda: measure(arguments.photos, arguments.unrelated),
         "all": lambda: run_everything(arguments.photos, arguments.unrelated)}[arguments.what]()  # fmt: skip


def run_everything(photos: Path | None, unrelated: Path | None) -> None:
    """What benchmarks/train.json holds, most important first: timed runs alone, the others two at a time."""
    run_all("timed", "0", jobs=1)
    run_all("quick", "0-2", jobs=1)
    for kind, numbers in (("folds", "0-4"), ("seeds", "0-9"), ("quick-folds", "0-4")):
        run_all(kind, numbers, jobs=2)
    run_baselines()
    subprocess.run([sys.executable, HERE / "inference.py", RUNS / "default-0", DATA], check=True)
    measure(photos, unrelated)
    subprocess.run([sys.executable, HERE / "goals.py"], check=True)
    print_table()


def stage(archive: str) -> None:
    """Stage the archive with the product's own command."""
    subprocess.run(
        [sys.executable, "-m", "scones", "data", "stage", "--source", archive, "--to", DATA], check=True
    )


# --- training: each run is a process of its own, so that its time and memory are its own ---
KINDS = {"seeds": "default", "timed": "timed", "quick": "quick", "folds": "fold", "quick-folds": "quick-fold"}


def run_all(kind: str, numbers: str, jobs: int) -> None:
    """Runs that are still missing, `jobs` at a time; the cores are shared among them."""
    wait_passively()  # the runs below inherit it
    first, _, last = numbers.partition("-")
    threads = max(1, (os.cpu_count() or 1) // jobs)

    def run(number: int) -> None:
        if not (RUNS / f"{KINDS[kind]}-{number}" / "cost.json").exists():
            command = [sys.executable, __file__, "one", KINDS[kind], str(number), str(threads)]
            subprocess.run(command, check=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, range(int(first), int(last or first) + 1)))


def run_one(kind: str, number: int, threads: int) -> None:
    """Load, train, export and package once; writes the artifact and what it cost."""
    from scones.model.packaging import build_artifact
    from scones.model.training import train

    folder = RUNS / f"{kind}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    recipe = replace(Recipe(), seed=number, threads=threads)
    if "quick" in kind:
        recipe = replace(recipe, **QUICK)
    started, load = time.perf_counter(), os.getloadavg()[0]
    dataset = load_staged(DATA, ["train", "validation"])
    if "fold" in kind:
        dataset = cut_fold(dataset, number)[0]
    trained = train(
        dataset, recipe, lambda epoch: print(kind, number, epoch, flush=True), folder / "checkpoint.pt"
    )
    build_artifact(trained, dataset, recipe, folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {"wall_seconds": time.perf_counter() - started, "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_memory_mb": used.ru_maxrss / 1024, "threads": threads, "load_before": load}  # fmt: skip
    (folder / "checkpoint.pt").unlink(missing_ok=True)
    (folder / "cost.json").write_text(json.dumps(cost))


def cut_fold(dataset: Dataset, fold: int) -> tuple[Dataset, Split]:
    """Fold `fold` of train + validation as the held-out split; a tenth of the rest is validation again."""
    both = [dataset.splits["train"], dataset.splits["validation"]]
    whole = Split(np.concatenate([s.pixels for s in both]), np.concatenate([s.labels for s in both]),
                  (*both[0].files, *both[1].files))  # fmt: skip
    part = np.empty(len(whole), int)
    for label in range(len(dataset.classes)):
        places = np.random.default_rng(0).permutation(np.flatnonzero(whole.labels == label))
        part[places] = np.arange(len(places)) % (FOLDS * 10)
    held, inner = part % FOLDS == fold, (part // FOLDS == fold) & (part % FOLDS != fold)
    splits = {"train": _take(whole, ~held & ~inner), "validation": _take(whole, inner)}
    return replace(dataset, splits=splits), _take(whole, held)


def _take(split: Split, chosen: np.ndarray) -> Split:
    files = tuple(file for file, taken in zip(split.files, chosen, strict=True) if taken)
    return Split(split.pixels[chosen], split.labels[chosen], files)


# --- baselines ---
BASELINES = {"frozen": FOLDS, "resnet20": 2}  # ResNet-20 is far behind: two folds are enough to say so


def run_baselines() -> None:
    """Frozen backbone + logistic regression, and ResNet-20 from scratch: folds and the test split."""
    missing = [name for name in BASELINES if not (RUNS / f"baseline-{name}.json").exists()]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: subprocess.run([sys.executable, __file__, "baseline", name], check=True),
                      missing))  # fmt: skip


def run_baseline(name: str) -> None:
    from baselines import score_frozen, score_resnet

    dataset, score = load_staged(DATA), {"frozen": score_frozen, "resnet20": score_resnet}[name]
    pairs = [cut_fold(dataset, fold) for fold in range(BASELINES[name])]
    right = [score(_join(cut), held, fold) for fold, (cut, held) in enumerate(pairs)]
    test = score(_join(dataset), dataset.splits["test"], 0)
    told = {"folds": right, "test_accuracy": test}
    RUNS.mkdir(parents=True, exist_ok=True)
    (RUNS / f"baseline-{name}.json").write_text(json.dumps(told))
    print(name, told, flush=True)


def _join(dataset: Dataset) -> Split:
    both = [dataset.splits["train"], dataset.splits["validation"]]
    return Split(np.concatenate([s.pixels for s in both]), np.concatenate([s.labels for s in both]), ())


# --- measuring ---
def measure(photos: Path | None, unrelated: Path | None) -> None:
    """Score every finished run on what it has not seen, and write the results file."""
    dataset = load_staged(DATA)
    result: dict[str, Any] = {"machine": describe_machine(), "threshold": THRESHOLD}
    result["chosen"] = "What was chosen on what, and how often it was scored: docs/explanation/classifier.md"
    for kind in KINDS.values():
        rows = [measure_run(folder, kind, dataset, photos, unrelated) for folder in find_runs(kind)]
        if rows:
            result[kind] = {"runs": rows, "summary": summarise(rows)}
            print(kind, json.dumps(result[kind]["summary"]), flush=True)
    for kind in ("fold", "quick-fold"):
        if kind in result:
            result[kind]["pooled"] = pool_folds(kind, dataset)
            print(kind, result[kind]["pooled"], flush=True)
    for path in sorted(RUNS.glob("baseline-*.json")):
        result[path.stem] = json.loads(path.read_text())
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


def find_runs(kind: str) -> list[Path]:
    found = [path for path in RUNS.glob(f"{kind}-[0-9]*") if (path / "cost.json").exists()]
    return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))


def answer(folder: Path, files: Any) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, classes) and out-of-distribution scores (n,) as an endpoint answers."""
    predictor = load_predictor(folder, threads=2)
    pictures = [predictor.decode(f.read_bytes()) if isinstance(f, Path) else f for f in files]
    answers = predictor.infer(pictures)
    return np.array([a.probabilities for a in answers]), np.array([a.ood for a in answers])


def measure_run(
    folder: Path, kind: str, dataset: Dataset, photos: Path | None, unrelated: Path | None
) -> dict[str, Any]:
    number = int(folder.name.rpartition("-")[2])
    split = cut_fold(dataset, number)[1] if "fold" in kind else dataset.splits["test"]
    twins = np.array([file.name in dataset.twins for file in split.files])
    probabilities, ood = answer(folder, split.files)
    report = evaluate_answers(probabilities, split.labels, dataset.classes, THRESHOLD, twins)
    row = {
        "number": number,
        "model": open_artifact(folder).digest,
        **report,
        "refused": float(np.mean(ood > 0.5)),
    }
    if "fold" not in kind:
        row |= json.loads((folder / "cost.json").read_text())
    row["train_seconds"] = json.loads((folder / RUN).read_text())["train_seconds"]
    row["artifact_mb"] = (folder / "model.onnx").stat().st_size / 1e6
    if photos is not None:
        row["photos"] = measure_photos(folder, photos, dataset.classes)
    if "fold" not in kind:
        row["confident_on_strangers"] = measure_strangers(folder, split, unrelated)
    return row


def measure_photos(folder: Path, place: Path, classes: tuple[str, ...]) -> dict[str, Any]:
    files = [(path, label) for label, name in enumerate(classes) for path in sorted((place / name).glob("*"))]
    probabilities, _ = answer(folder, [path for path, _ in files])
    labels = np.array([label for _, label in files])
    report = evaluate_answers(probabilities, labels, classes, THRESHOLD, np.zeros(len(labels), bool))
    right = probabilities.argmax(1) == labels
    halves = {"accuracy_even_half": float(right[::2].mean()), "accuracy_odd_half": float(right[1::2].mean())}
    return {
        name: report[name] for name in ("pictures", "test_accuracy", "ece", "coverage", "selective_accuracy")
    } | halves


def measure_strangers(folder: Path, split: Split, unrelated: Path | None) -> dict[str, float]:
    """Share of pictures of no class that would be routed: confident, and not refused."""
    random = np.random.default_rng(0)
    raw = [pixels.decode(path.read_bytes()) for path in split.files]
    kinds: dict[str, list[Any]] = {
        "noise": [
            random.integers(0, 256, (side, side, 3)).astype(np.uint8) for side in (32, 160) for _ in range(50)
        ],
        "blank": [np.full((48, 48, 3), random.integers(0, 256, 3), np.uint8) for _ in range(100)],
    }
    for sigma in (25, 50, 100):
        kinds[f"noisy_{sigma}"] = [
            np.clip(p + random.normal(0, sigma, p.shape), 0, 255).astype(np.uint8) for p in raw
        ]
    if unrelated is not None:
        kinds["unrelated"] = [crop for path in sorted(unrelated.iterdir()) for crop in cut_crops(path)]
    shares = {}
    for name, pictures in kinds.items():
        probabilities, ood = answer(folder, pictures)
        shares[name] = float(((probabilities.max(1) >= THRESHOLD) & (ood <= 0.5)).mean())
    return shares


def cut_crops(path: Path) -> list[np.ndarray]:
    """A picture and its four quarters."""
    picture = pixels.decode(path.read_bytes())
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    return [picture, *(picture[y : y + height, x : x + width] for y in (0, height) for x in (0, width))]


def pool_folds(kind: str, dataset: Dataset) -> dict[str, float]:
    """All out-of-fold answers together: every picture once, by a model that never saw it."""
    parts, labels = [], []
    for folder in find_runs(kind):
        held = cut_fold(dataset, int(folder.name.rpartition("-")[2]))[1]
        parts.append(answer(folder, held.files)[0])
        labels.append(held.labels)
    probabilities, truth = np.concatenate(parts), np.concatenate(labels)
    kept = probabilities.max(1) >= THRESHOLD
    right = probabilities.argmax(1) == truth
    return {
        "pictures": len(truth),
        "accuracy": float(right.mean()),
        "ece": measure_calibration_error(probabilities, truth),
        "coverage": float(kept.mean()),
        "selective_accuracy": float(right[kept].mean()),
    }


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over runs, of every number, nested ones too."""
    summary: dict[str, Any] = {"runs": len(rows)}
    for name, value in rows[0].items():
        if isinstance(value, dict) and name != "per_class":
            summary[name] = summarise([row[name] for row in rows])
        elif isinstance(value, float):
            values = [row[name] for row in rows]
            summary[name] = {
                "mean": float(np.mean(values)),
                "sd": float(np.std(values, ddof=len(values) > 1)),
            }
    return summary


def describe_machine() -> dict[str, Any]:
    cpu = next((line.partition(":")[2].strip() for line in _read_cpu() if line.startswith("model name")), "")
    packages = {name: version(name) for name in ("torch", "onnxruntime", "onnx", "numpy", "pillow")}
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), **packages}


def _read_cpu() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def print_table() -> None:
    print("\n".join(list_table(json.loads(RESULT.read_text()))))


def list_table(result: dict[str, Any]) -> list[str]:
    """The README's table; `s` is the wall time of a run that has both cores to itself."""
    header = (
        "| recipe | 5-fold accuracy | test accuracy | test ECE | covered at .93 | accuracy there | s | n |"
    )
    lines = [header, "|---|---|---|---|---|---|---|---|"]
    for kind, folds, alone in (("default", "fold", "timed"), ("quick", "quick-fold", "quick")):
        if kind in result:
            told = result[kind]["summary"]
            cells = [_say(told[name]) for name in ("test_accuracy", "ece", "coverage", "selective_accuracy")]
            cells.insert(0, _say(result.get(folds, {}).get("summary", {}).get("test_accuracy")))
            seconds = result.get(alone, result[kind])["summary"]["wall_seconds"]["mean"]
            lines.append("| " + " | ".join([kind, *cells, f"{seconds:.0f}", str(told["runs"])]) + " |")
    for name, words in (("frozen", "frozen backbone"), ("resnet20", "ResNet-20 from scratch")):
        if row := result.get(f"baseline-{name}"):
            told = _say({"mean": np.mean(row["folds"]), "sd": np.std(row["folds"], ddof=1)})
            told += f" ({len(row['folds'])} folds)" if len(row["folds"]) < FOLDS else ""
            lines.append(f"| {words} | {told} | {row['test_accuracy']:.3f} | | | | | 1 |")
    return lines


def _say(value: dict[str, float] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.3f}" + (f" ± {value['sd']:.3f}" if value["sd"] else "")  # one run has no spread


if __name__ == "__main__":
    main()
