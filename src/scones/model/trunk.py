"""The part of the network that is not trained, run by ONNX Runtime: half of PyTorch's time and less."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scones.model.export import open_trunk
from scones.model.network import EfficientNetLite

Trunk = Callable[[Tensor], Tensor]


def make_trunk(network: EfficientNetLite, blocks: int) -> Trunk:
    """The stem and the first `blocks` blocks with the weights they have now: normalised pictures
    (n, 3, side, side) to feature maps. May be called from several threads, each of which computes alone."""
    session = open_trunk(network, blocks)

    def extract(x: Tensor) -> Tensor:
        features = torch.from_numpy(session.run(None, {"x": x.contiguous().numpy()})[0])
        return features.contiguous(memory_format=torch.channels_last)

    return extract
