"""The exported file answers as PyTorch does, whatever the picture's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from scones.errors import ModelError
from scones.model import pixels
from scones.model.export import build_onnx, quantise, run_onnx, set_temperature
from scones.model.network import EMBEDDING, EfficientNetLite, load_imagenet, normalise


@pytest.fixture(scope="module")
def network() -> EfficientNetLite:
    torch.manual_seed(0)
    network = load_imagenet()
    network.classifier = nn.Linear(EMBEDDING, 3)
    return network


@pytest.fixture(scope="module")
def exported(network: EfficientNetLite, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    path.write_bytes(build_onnx(network, temperature=0.5).SerializeToString())
    return path


@pytest.mark.parametrize(
    "shape", [(32, 32), (8, 8), (160, 160), (127, 300), (128, 300), (241, 131), (480, 640), (33, 500)]
)
def test_it_equals_pytorch(network: EfficientNetLite, exported: Path, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    resized = torch.from_numpy(pixels.resize(picture, pixels.choose_size(picture))).permute(2, 0, 1)[None]
    with torch.no_grad():
        embedding = network.embed(normalise(resized))
        probabilities = torch.softmax(network.classifier(embedding) / 0.5, 1)
    answered, embedded = run_onnx(exported, picture[None])
    assert np.abs(answered - probabilities.numpy()).max() < 1e-4
    assert np.abs(embedded - embedding.numpy()).max() < 1e-2


def test_the_temperature_can_be_set_later(exported: Path, tmp_path: Path) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    copy = tmp_path / "model.onnx"
    copy.write_bytes(exported.read_bytes())
    set_temperature(copy, 1.0)
    cold, warm = run_onnx(exported, picture)[0], run_onnx(copy, picture)[0]
    assert np.allclose(warm**2 / (warm**2).sum(), cold, atol=1e-5)


def test_eight_bits_make_it_small_and_change_little(exported: Path, tmp_path: Path) -> None:
    pictures = np.random.default_rng(3).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    quantise(exported, tmp_path / "small.onnx", pictures)
    assert (tmp_path / "small.onnx").stat().st_size < 4_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]
    before, after = run_onnx(exported, pictures)[0], run_onnx(tmp_path / "small.onnx", pictures)[0]
    assert np.abs(before - after).max() < 0.1
    set_temperature(tmp_path / "small.onnx", 1e4)
    assert np.allclose(run_onnx(tmp_path / "small.onnx", pictures)[0], 1 / 3, atol=1e-2)


def test_eight_bits_answer_alike_on_every_processor(exported: Path, tmp_path: Path) -> None:
    """Without VNNI, x86 adds two products in 16 bits; with larger weights the sum would be cut off there."""
    pictures = np.random.default_rng(4).integers(0, 256, (8, 32, 32, 3)).astype(np.uint8)
    small = tmp_path / "small.onnx"
    quantise(exported, small, pictures)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # 32-bit arithmetic
    plain = onnxruntime.InferenceSession(str(small), options, providers=["CPUExecutionProvider"])
    expected, (_, embedded) = plain.run(["embedding"], {"pixels": pictures})[0], run_onnx(small, pictures)
    assert np.linalg.norm(embedded - expected) < 0.05 * np.linalg.norm(expected)  # it was 0.34
    graph = onnx.load(str(small)).graph
    weights = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    kernels = [value for name, value in weights.items() if value.dtype == np.int8 and value.ndim == 4]
    dense = [np.abs(value.astype(int)).max() for value in kernels if value.shape[1] > 1]
    depthwise = [np.abs(value.astype(int)).max() for value in kernels if value.shape[1] == 1]
    assert max(dense) <= 64
    assert max(depthwise) == 127


def test_a_graph_without_a_temperature_is_refused(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(str(exported))
    del model.graph.initializer[:]
    onnx.save(model, str(tmp_path / "bare.onnx"))
    with pytest.raises(ModelError, match="no temperature"):
        set_temperature(tmp_path / "bare.onnx", 0.5)


def test_the_file_says_what_goes_in_and_out(exported: Path) -> None:
    graph = onnx.load(str(exported)).graph
    assert [entry.name for entry in graph.input] == ["pixels"]
    assert [entry.name for entry in graph.output] == ["probabilities", "embedding"]
