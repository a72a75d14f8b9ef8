"""Saves a training run after each epoch, so that a killed one goes on where it was."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scones.errors import ModelError
from scones.model.network import EfficientNetLite
from scones.model.recipe import Recipe


@dataclass(frozen=True)
class Checkpoint:
    """State after the last epoch in `history`; `best` holds the weights of the lowest validation loss."""

    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    history: list[dict[str, Any]]
    best: dict[str, Tensor] | None


def save_checkpoint(
    path: Path | None,
    recipe: Recipe,
    digest: str,
    network: EfficientNetLite,
    optimizer: torch.optim.Optimizer,
    history: list[dict[str, Any]],
    best: dict[str, Tensor] | None,
) -> None:
    """Replace the checkpoint at `path` atomically; nothing happens when `path` is None."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    state = {"key": _make_key(recipe, digest), "network": network.state_dict(), "best": best}
    torch.save({**state, "optimizer": optimizer.state_dict(), "history": history}, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path | None, recipe: Recipe, digest: str) -> Checkpoint | None:
    """The checkpoint at `path`; None when there is none, or one of other data or another recipe.

    Raises ModelError when it is damaged.
    """
    if path is None or not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["key"] != _make_key(recipe, digest):
            return None
        return Checkpoint(state["network"], state["optimizer"], state["history"], state["best"])
    except Exception as error:  # torch raises a dozen unrelated types for a damaged file
        raise ModelError(
            f"The checkpoint {path} is damaged ({type(error).__name__}).", f"Delete {path}."
        ) from error


def _make_key(recipe: Recipe, digest: str) -> str:
    return json.dumps([asdict(recipe), digest], sort_keys=True)
