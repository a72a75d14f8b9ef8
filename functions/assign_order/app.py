"""assignOrder: give the driver a loading bay and an open order that suits the vehicle.

One transaction closes the order and records the check-in's outcome, each only if it is still open. So an
order never goes to two drivers, and a check-in never gets two orders, however often this runs.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

import boto3
from boto3.dynamodb.conditions import ConditionBase, Key
from botocore.exceptions import ClientError

CANDIDATES = 25
BAYS_HOLD = 60  # seconds


class OrderConflict(Exception):
    """Other drivers were faster at every order tried: look again."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    result = assign(event)
    print(json.dumps({"function": "assign_order", "execution": event.get("execution"), **result}))
    return result


def assign(event: dict[str, Any]) -> dict[str, Any]:
    vehicle = event["vehicle_class"]
    result = {
        "outcome": "ROUTED",
        "checkin_id": event["checkin_id"],
        "driver_id": event["driver_id"],
        "vehicle_class": vehicle,
        "confidence": event["confidence"],
        "loading_bay": choose_bay(vehicle, event["checkin_id"]),
    }
    orders = find_orders(vehicle, Decimal(os.environ.get("CYCLING_RADIUS_KM", "5")))
    choices: list[Any] = [*orders] or [None]
    for order in choices:
        routed = {**result, "order": order}
        if commit(routed):
            return routed
        if earlier := read_routed(event["checkin_id"]):
            return earlier
    raise OrderConflict(f"{len(orders)} orders for a {vehicle} were taken by other drivers in this moment.")


def choose_bay(vehicle: str, checkin_id: str) -> str:
    """Spread check-ins evenly, and one check-in always to the same bay. Raises LookupError."""
    bays = read_bays(os.environ["BAYS_TABLE"], vehicle, int(time.time() / BAYS_HOLD))
    return bays[zlib.crc32(checkin_id.encode()) % len(bays)]


@lru_cache(maxsize=16)
def read_bays(name: str, vehicle: str, period: int) -> list[str]:
    """Bays hardly ever change: each process asks for them once a `period`. Raises LookupError."""
    bays = database().Table(name).query(KeyConditionExpression=Key("vehicle_class").eq(vehicle))["Items"]
    if not bays:
        raise LookupError(f"There is no loading bay for a {vehicle}: load bays with `scones app seed`.")
    return [str(bay["bay_id"]) for bay in bays]


def find_orders(vehicle: str, radius: Decimal) -> list[dict[str, Any]]:
    """Open orders, best first. Bicycle: nearest within the radius. Others: farthest beyond, else nearest."""
    beyond = [] if vehicle == "bicycle" else query_orders(Key("distance_km").gt(radius), nearest_first=False)
    found = beyond or query_orders(Key("distance_km").lte(radius), nearest_first=True)
    return [
        {"order_id": order["order_id"], "distance_km": float(order["distance_km"]), "to": order.get("to", "")}
        for order in found
    ]


def commit(routed: dict[str, Any]) -> bool:
    """Close the order and record the outcome together. False when another was faster at either."""
    order = routed["order"]
    recorded = {
        ":outcome": "ROUTED",
        ":decision": json.dumps(routed),
        ":order": order and order["order_id"],
        ":now": datetime.now(UTC).isoformat(),
    }
    outcome = {
        "TableName": os.environ["CHECKINS_TABLE"],
        "Key": {"checkin_id": routed["checkin_id"]},
        "UpdateExpression": "SET outcome = :outcome, decision = :decision, order_id = :order, "
        "decided_at = :now REMOVE reason",
        "ConditionExpression": "attribute_not_exists(outcome) OR outcome <> :outcome",
        "ExpressionAttributeValues": recorded,
    }
    closing = {
        "TableName": os.environ["ORDERS_TABLE"],
        "Key": {"order_id": order and order["order_id"]},
        "UpdateExpression": "SET checkin_id = :checkin REMOVE #open",
        "ConditionExpression": "attribute_exists(#open)",
        "ExpressionAttributeNames": {"#open": "open"},
        "ExpressionAttributeValues": {":checkin": routed["checkin_id"]},
    }
    try:
        database().meta.client.transact_write_items(
            TransactItems=[{"Update": outcome}, *([{"Update": closing}] if order else [])]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "TransactionCanceledException":
            raise
        return False
    return True


def read_routed(checkin_id: str) -> dict[str, Any]:
    """The earlier decision on this check-in, or nothing."""
    found = table("CHECKINS_TABLE").get_item(Key={"checkin_id": checkin_id}, ConsistentRead=True)
    item = found.get("Item", {})
    return dict(json.loads(item["decision"])) if item.get("outcome") == "ROUTED" else {}


def query_orders(distance: ConditionBase, nearest_first: bool) -> list[dict[str, Any]]:
    found = table("ORDERS_TABLE").query(
        IndexName="open-by-distance",
        KeyConditionExpression=Key("open").eq("yes") & distance,
        ScanIndexForward=nearest_first,
        Limit=CANDIDATES,
    )
    return list(found["Items"])


def table(variable: str) -> Any:
    return database().Table(os.environ[variable])


@cache
def database() -> Any:
    return boto3.resource("dynamodb")
