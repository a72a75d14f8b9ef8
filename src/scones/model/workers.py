"""Threads that each compute alone, on pictures of their own.

Layers of this size are too small to be shared among threads one by one, as PyTorch and ONNX Runtime would: on
two cores a step of training takes 0.55 to 0.65 of the time so, and no thread has to spin while it waits for
another.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def open_workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """`threads` workers. On leaving, unfinished work is dropped and PyTorch has its `threads` again."""
    workers = ThreadPoolExecutor(threads, "scones-model", initializer=_set_up)
    try:
        yield workers
    finally:
        workers.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # part of what the workers set holds for the whole process


def _set_up() -> None:
    """One thread each; and denormals count as zero, for they are slow and do training no good."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
