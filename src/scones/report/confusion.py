"""The confusion matrix, each cell with some of its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scones.report.checkins import CheckIn

EXAMPLES = 36  # images in the whole matrix, so that a page stays small however many classes there are


@dataclass(frozen=True)
class Cell:
    """Check-ins of class `truth` that were taken for `predicted`: how many, which share of the class, and
    examples, the most surprising first: confident mistakes, and right ones that were the least certain."""

    truth: str
    predicted: str
    count: int
    share: float
    examples: tuple[CheckIn, ...]

    @property
    def right(self) -> bool:
        return self.truth == self.predicted


def count_cells(checkins: Sequence[CheckIn], classes: Sequence[str]) -> list[list[Cell]]:
    """Rows by the true class, columns by the predicted one, of the check-ins whose class is known."""
    judged = [checkin for checkin in checkins if checkin.correct is not None]
    most = max(1, EXAMPLES // len(classes) ** 2)
    return [
        [_count_cell(judged, classes, truth, predicted, most) for predicted in range(len(classes))]
        for truth in range(len(classes))
    ]


def _count_cell(
    judged: Sequence[CheckIn], classes: Sequence[str], truth: int, predicted: int, most: int
) -> Cell:
    of_class = [checkin for checkin in judged if checkin.truth == truth]
    found = [checkin for checkin in of_class if checkin.predicted == predicted]
    surprising = sorted(found, key=lambda checkin: checkin.confidence or 0.0, reverse=truth != predicted)
    return Cell(
        classes[truth],
        classes[predicted],
        len(found),
        len(found) / max(len(of_class), 1),
        tuple(surprising[:most]),
    )
