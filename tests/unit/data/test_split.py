"""The split: stratified, seeded, whole groups, stable."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scones.data.split import choose_part

NAMES = [f"image_{number:03d}.png" for number in range(200)]
LABELS = [number % 2 for number in range(200)]


def test_each_class_gives_its_share() -> None:
    chosen = choose_part(NAMES, LABELS, range(200), 0.1, 0)
    assert Counter(label for label, taken in zip(LABELS, chosen, strict=True) if taken) == {0: 10, 1: 10}


def test_the_order_of_the_images_does_not_matter() -> None:
    chosen = dict(zip(NAMES, choose_part(NAMES, LABELS, range(200), 0.1, 0), strict=True))
    backwards = choose_part(NAMES[::-1], LABELS[::-1], range(200), 0.1, 0)
    assert chosen == dict(zip(NAMES[::-1], backwards, strict=True))


def test_new_images_move_few_others() -> None:
    before = dict(zip(NAMES[:180], choose_part(NAMES[:180], LABELS[:180], range(180), 0.1, 0), strict=True))
    after = dict(zip(NAMES, choose_part(NAMES, LABELS, range(200), 0.1, 0), strict=True))
    assert sum(before[name] != after[name] for name in before) <= 8


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=80), st.integers(0, 5))
def test_groups_stay_whole(images: list[tuple[int, int]], seed: int) -> None:
    labels, groups = [label for label, _ in images], [group for _, group in images]
    chosen = choose_part([f"{number}.png" for number in range(len(images))], labels, groups, 0.2, seed)
    sides: dict[int, set[bool]] = {}
    for group, taken in zip(groups, chosen, strict=True):
        sides.setdefault(group, set()).add(taken)
    assert all(len(side) == 1 for side in sides.values())
    taken_of = Counter(label for label, taken in zip(labels, chosen, strict=True) if taken)
    for label, count in Counter(labels).items():
        assert taken_of[label] <= max(1, round(0.2 * count))
