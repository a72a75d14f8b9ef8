"""Uploads a staged dataset to S3."""

from __future__ import annotations

from scones.data.collection import Progress
from scones.data.dataset import Dataset


def upload(dataset: Dataset, to: str, progress: Progress) -> Dataset:
    raise NotImplementedError
