"""One row for each image that went through the state machine, with all that is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

ROUTED, LOW_CONFIDENCE, INVALID_IMAGE = "ROUTED", "LowConfidence", "InvalidImage"
# Outcomes in the order in which they are shown; any other name is a failure.
OUTCOMES = (ROUTED, LOW_CONFIDENCE, INVALID_IMAGE)


@dataclass(frozen=True)
class CheckIn:
    """A driver's check-in: its execution, joined with its capture record and, where known, the truth.

    `seconds` and the values of `states` (by state name) are wall time; `probabilities` is in label order and
    empty where nothing was inferred; `truth` is a label id.
    """

    key: str
    execution: str
    outcome: str
    started: datetime
    seconds: float
    states: Mapping[str, float] = field(default_factory=dict)
    probabilities: tuple[float, ...] = ()
    ood: float | None = None
    truth: int | None = None
    capture: str | None = None
    event_id: str | None = None
    image: bytes | None = None

    @property
    def confidence(self) -> float | None:
        """The largest probability, or None where nothing was inferred."""
        return max(self.probabilities, default=None)

    @property
    def predicted(self) -> int | None:
        """The label id of the largest probability, or None where nothing was inferred."""
        return self.probabilities.index(max(self.probabilities)) if self.probabilities else None

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is the truth; None where either is not known."""
        return None if self.truth is None or self.predicted is None else self.predicted == self.truth


def count_outcomes(checkins: Iterable[CheckIn]) -> dict[str, int]:
    """Number of check-ins by outcome: the known ones first, even if none, then failures by name."""
    found = Counter(checkin.outcome for checkin in checkins)
    return {**{name: found.pop(name, 0) for name in OUTCOMES}, **dict(sorted(found.items()))}


def select_uncertain(checkins: Iterable[CheckIn], most: int = 20) -> list[CheckIn]:
    """The `most` least certain ones that have an inference, least certain first."""
    inferred = [checkin for checkin in checkins if checkin.probabilities]
    return sorted(inferred, key=lambda checkin: checkin.confidence or 0)[:most]


def select_wrong(checkins: Iterable[CheckIn]) -> list[CheckIn]:
    """The wrongly classified ones, most confident first."""
    wrong = [checkin for checkin in checkins if checkin.correct is False]
    return sorted(wrong, key=lambda checkin: -(checkin.confidence or 0))
