"""Batch transform: an object becomes requests, and the answers become one object again (TransformInput)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def split_records(data: bytes, split: str, strategy: str, most_bytes: int) -> Iterator[bytes]:
    """The requests for one object.

    `split` None sends it whole, Line by lines; `strategy` SingleRecord sends one line a request, MultiRecord
    as many as fit in `most_bytes` (0: no limit).
    """
    if split != "Line":
        yield data
        return
    lines = [line for line in data.splitlines(keepends=True) if line.strip()]
    if strategy == "SingleRecord":
        yield from lines
    else:
        yield from _pack(lines, most_bytes)


def _pack(lines: Sequence[bytes], most_bytes: int) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and most_bytes and size + len(line) > most_bytes:
            yield b"".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield b"".join(batch)


def assemble(answers: Sequence[bytes], assemble_with: str) -> bytes:
    """One object of all answers: end to end, or (Line) each ending its line."""
    if assemble_with != "Line":
        return b"".join(answers)
    return b"".join(answer if answer.endswith(b"\n") else answer + b"\n" for answer in answers)
