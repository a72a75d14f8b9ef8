"""The predictor: what the endpoint answers, and nothing heavier than NumPy, Pillow and onnxruntime."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scones.container.prediction import DOUBT_FROM, Predictor, load_predictor
from scones.errors import DataError, ModelError
from scones.model.artifact import write_artifact


@pytest.fixture(scope="module")
def predictor(finished: Any) -> Predictor:
    return load_predictor(finished.base / "model")


def make_pictures() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    random = np.random.default_rng(0)
    shapes = [(32, 32), (48, 64), (32, 32), (200, 150)]
    return [random.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in shapes]


def test_answers_keep_their_order_whatever_the_sizes(predictor: Predictor) -> None:
    pictures = make_pictures()
    together, alone = predictor.infer(pictures), [predictor.infer([picture])[0] for picture in pictures]
    for one, other in zip(together, alone, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-3)
        assert sum(one.probabilities) == pytest.approx(1)
        assert 0 <= one.ood <= 1
        assert one.model == predictor.model
    assert predictor.infer([]) == []


def test_doubt_moves_what_the_graph_says_towards_dont_know(predictor: Predictor) -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[:, :, 1] = np.arange(300) // 2
    said, prediction = predictor.embed([photo])[0][0], predictor.infer([photo])[0]
    share = max(0.0, (prediction.ood - DOUBT_FROM) / (1 - DOUBT_FROM))
    assert prediction.probabilities == pytest.approx((1 - share) * said + share / 2, abs=1e-6)


def test_it_learnt_the_classes_in_label_order(predictor: Predictor, finished: Any) -> None:
    files = sorted((finished.base / "input" / "data" / "validation" / "stripes").glob("*.png"))
    answers = predictor.infer([predictor.decode(path.read_bytes()) for path in files])
    assert (
        np.mean([answer.probabilities[predictor.labels.index("stripes")] > 0.5 for answer in answers]) >= 0.75
    )


def test_a_picture_unlike_training_is_never_sure(predictor: Predictor) -> None:
    for answer in predictor.infer(make_pictures()):
        if answer.ood > 0.5:
            assert max(answer.probabilities) <= 1 - (answer.ood - DOUBT_FROM) / (1 - DOUBT_FROM) / 2 + 1e-9


def test_threads_may_share_it(predictor: Predictor) -> None:
    picture = make_pictures()[0]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: predictor.infer([picture])[0], range(8)))
    assert len({answer.probabilities for answer in answers}) == 1


def test_other_arrays_are_refused(predictor: Predictor) -> None:
    with pytest.raises(DataError, match=r"float64 of shape \(32, 32, 3\)"):
        predictor.infer([np.zeros((32, 32, 3))])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"\(32, 32\)"):
        predictor.infer([np.zeros((32, 32), np.uint8)])


def test_decoding_goes_through_pillow(predictor: Predictor) -> None:
    buffer = io.BytesIO()
    Image.new("L", (20, 30), 7).save(buffer, "PNG")
    assert predictor.decode(buffer.getvalue()).shape == (30, 20, 3)
    with pytest.raises(DataError, match="not a picture"):
        predictor.decode(b"{}")


def test_a_graph_that_is_none_is_refused(finished: Any, tmp_path: Path) -> None:
    names = ("labels.json", "calibration.json", "baseline/embeddings.npz")
    files = {name: (finished.base / "model" / name).read_bytes() for name in names}
    write_artifact(tmp_path, {**files, "model.onnx": b"no graph"}, {})
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded"):
        load_predictor(tmp_path)
    write_artifact(tmp_path, {**files, "model.onnx": b"", "baseline/embeddings.npz": b"PK"}, {})
    with pytest.raises(ModelError, match="reference embeddings are damaged"):
        load_predictor(tmp_path)


def test_serving_loads_no_training_code(finished: Any) -> None:
    script = (
        "import sys, pathlib; from scones.container.prediction import load_predictor;"
        f"load_predictor(pathlib.Path({str(finished.base / 'model')!r}));"
        "print(*{name.partition('.')[0] for name in sys.modules} & {'torch', 'onnx', 'boto3', 'click'})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
