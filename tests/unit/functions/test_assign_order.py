"""assignOrder: the rules of routing, and what a transaction refuses."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Load = Callable[[str], ModuleType]


def seed(tables: dict[str, Any], *distances: float) -> None:
    for distance in distances:
        tables["orders"].put_item(
            Item={"order_id": f"o-{distance:g}", "open": "yes", "distance_km": Decimal(str(distance))}
        )
    for vehicle, bay in [("bicycle", "B1"), ("bicycle", "B2"), ("motorcycle", "M1")]:
        tables["bays"].put_item(Item={"vehicle_class": vehicle, "bay_id": bay})


def check_in(name: str, vehicle: str = "bicycle") -> dict[str, Any]:
    return {"checkin_id": name, "driver_id": f"d-{name}", "vehicle_class": vehicle, "confidence": 0.98}


@pytest.mark.parametrize(
    ("vehicle", "distances", "expected"),
    [
        ("bicycle", [3, 1, 8], "o-1"),  # the nearest
        ("bicycle", [5, 8], "o-5"),  # the radius itself counts
        ("bicycle", [5.01, 8], None),  # nothing within the radius: the driver waits
        ("motorcycle", [1, 6, 12], "o-12"),  # the farthest beyond the radius
        ("motorcycle", [3, 1], "o-1"),  # else the nearest that is left
        ("motorcycle", [], None),
    ],
)
def test_the_rules(
    load: Load, tables: dict[str, Any], vehicle: str, distances: list[float], expected: str | None
) -> None:
    seed(tables, *distances)
    result = load("assign_order").handler(check_in("c", vehicle), None)
    assert result["outcome"] == "ROUTED"
    assert (result["order"] and result["order"]["order_id"]) == expected
    assert result["loading_bay"] in (["B1", "B2"] if vehicle == "bicycle" else ["M1"])
    assert tables["checkins"].get_item(Key={"checkin_id": "c"})["Item"]["outcome"] == "ROUTED"


def test_a_checkin_delivered_again_gets_the_same_answer(load: Load, tables: dict[str, Any]) -> None:
    seed(tables, 1, 2, 3)
    handler = load("assign_order").handler
    assert handler(check_in("c"), None) == handler(check_in("c"), None)
    assert sum("open" in order for order in tables["orders"].scan()["Items"]) == 2


def test_a_driver_who_waits_is_not_given_an_order_by_a_duplicate(load: Load, tables: dict[str, Any]) -> None:
    seed(tables)
    handler = load("assign_order").handler
    assert handler(check_in("c"), None)["order"] is None
    seed(tables, 1)
    assert handler(check_in("c"), None)["order"] is None


def test_an_earlier_failure_can_be_repeated_and_routed(load: Load, tables: dict[str, Any]) -> None:
    seed(tables, 1)
    tables["checkins"].put_item(
        Item={"checkin_id": "c", "outcome": "EndpointUnavailable", "reason": "it was down"}
    )
    assert load("assign_order").handler(check_in("c"), None)["order"]["order_id"] == "o-1"
    assert "reason" not in tables["checkins"].get_item(Key={"checkin_id": "c"})["Item"]


def test_a_driver_who_is_second_takes_the_next_order(
    load: Load, tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked at the same moment; only one gets the nearest order."""
    seed(tables, 1, 2)
    module = load("assign_order")
    seen = module.find_orders("bicycle", Decimal(5))
    monkeypatch.setattr(module, "find_orders", lambda *_: seen)
    results = [module.handler(check_in(name), None)["order"]["order_id"] for name in ("first", "second")]
    assert results == ["o-1", "o-2"]
    owners = {order["order_id"]: order["checkin_id"] for order in tables["orders"].scan()["Items"]}
    assert owners == {"o-1": "first", "o-2": "second"}


def test_a_duplicate_at_the_same_moment_takes_no_second_order(load: Load, tables: dict[str, Any]) -> None:
    """Neither execution has seen the other's decision when it looks for an order."""
    seed(tables, 1, 2)
    module = load("assign_order")
    first = module.assign(check_in("c"))
    assert module.assign(check_in("c")) == first
    assert sum("open" in order for order in tables["orders"].scan()["Items"]) == 1


def test_losing_every_race_asks_for_another_look(
    load: Load, tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index still shows an order that has just gone: what an eventually consistent index does."""
    seed(tables, 1)
    module = load("assign_order")
    stale = module.find_orders("bicycle", Decimal(5))
    tables["orders"].update_item(
        Key={"order_id": "o-1"}, UpdateExpression="REMOVE #o", ExpressionAttributeNames={"#o": "open"}
    )
    monkeypatch.setattr(module, "find_orders", lambda *_: stale)
    with pytest.raises(module.OrderConflict, match="1 orders"):
        module.handler(check_in("c"), None)
    assert "Item" not in tables["checkins"].get_item(Key={"checkin_id": "c"})


def test_no_bay_is_told_plainly(load: Load, tables: dict[str, Any]) -> None:
    with pytest.raises(LookupError, match="scones app seed"):
        load("assign_order").handler(check_in("c"), None)


def test_a_closed_bay_is_given_for_a_minute_at_most(
    load: Load, tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(tables)
    module = load("assign_order")
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))

    def see_bays() -> set[str]:
        return {module.choose_bay("bicycle", f"c{number}") for number in range(20)}

    assert see_bays() == {"B1", "B2"}
    tables["bays"].delete_item(Key={"vehicle_class": "bicycle", "bay_id": "B1"})
    now = 59.0
    assert see_bays() == {"B1", "B2"}
    now = 60.0
    assert see_bays() == {"B2"}
