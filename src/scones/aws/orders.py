"""A small example of orders and loading bays, so that a fresh stack has something to give out."""

from __future__ import annotations

import random
from decimal import Decimal

from scones.aws.sessions import Cloud, translate_errors

BAYS = {"bicycle": ("bike-1", "bike-2"), "motorcycle": ("moto-1", "moto-2", "moto-3")}
STREETS = ("Mill Lane", "Baker Street", "Harbour Road", "Church Hill", "Station Road", "Orchard Row")


def seed_bays(cloud: Cloud, table: str) -> int:
    """Write the loading bays of each vehicle class; how many. Writing them again changes nothing."""
    bays = [(vehicle, bay) for vehicle, names in BAYS.items() for bay in names]
    with translate_errors("write the loading bays"), cloud.table(table).batch_writer() as writer:
        for vehicle, bay in bays:
            writer.put_item(Item={"vehicle_class": vehicle, "bay_id": bay})
    return len(bays)


def seed_orders(cloud: Cloud, table: str, count: int, seed: int = 0, prefix: str = "order") -> int:
    """Add open orders at 0.2 to 15 km; those that exist stay as they are. How many are new."""
    orders, added = cloud.table(table), 0
    with translate_errors("write the orders"):
        for number, (distance, street) in enumerate(_draw(count, seed)):
            try:
                orders.put_item(
                    Item={
                        "order_id": f"{prefix}-{number:04d}",
                        "open": "yes",
                        "distance_km": Decimal(str(distance)),
                        "to": street,
                    },
                    ConditionExpression="attribute_not_exists(order_id)",
                )
                added += 1
            except orders.meta.client.exceptions.ConditionalCheckFailedException:
                continue
    return added


def _draw(count: int, seed: int) -> list[tuple[float, str]]:
    chance = random.Random(seed)
    return [
        (round(chance.uniform(0.2, 15), 1), f"{chance.randint(1, 120)} {chance.choice(STREETS)}")
        for _ in range(count)
    ]
