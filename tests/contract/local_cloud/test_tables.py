"""Queries over an index give what DynamoDB gives, though only what they return is looked at."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key


def connect(variables: dict[str, str]) -> Any:
    return boto3.resource(
        "dynamodb",
        variables["AWS_REGION"],
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="module")
def orders(cloud: Any) -> Any:
    """Open orders with equal, negative and fractional distances; some were changed, closed or deleted."""
    table = connect(cloud.variables()).create_table(
        TableName="open-orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "open", "AttributeType": "S"},
            {"AttributeName": "km", "AttributeType": "N"},
        ],
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[
            {
                "IndexName": "open-by-km",
                "KeySchema": [
                    {"AttributeName": "open", "KeyType": "HASH"},
                    {"AttributeName": "km", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    chance = random.Random(0)
    for number in range(120):
        table.put_item(
            Item={
                "id": f"o{number:03d}",
                "open": "yes",
                "km": Decimal(chance.randint(-8, 40)) / 2,
                "n": number,
            }
        )
        if number == 60:  # the index is there, and kept up to date from here on
            assert table.query(**ask(Key("open").eq("yes"), Limit=1))["Count"] == 1
    for number in range(0, 120, 3):
        key = {"id": f"o{number:03d}"}
        if number % 2:
            table.delete_item(Key=key)
        elif number % 4:
            table.update_item(
                Key=key,
                UpdateExpression="REMOVE #open",
                ExpressionAttributeNames={"#open": "open"},
            )
        else:
            table.update_item(
                Key=key, UpdateExpression="SET km = :km", ExpressionAttributeValues={":km": Decimal(number)}
            )
    return table


def ask(condition: Any, **more: Any) -> dict[str, Any]:
    return {"IndexName": "open-by-km", "KeyConditionExpression": condition, **more}


def expect(table: Any, fits: Callable[[Decimal], bool], forward: bool) -> list[str]:
    items = [item for item in table.scan()["Items"] if "open" in item and fits(item["km"])]
    items.sort(key=lambda item: (item["km"], item["id"]), reverse=not forward)
    return [item["id"] for item in items]


CONDITIONS: list[tuple[Any, Callable[[Decimal], bool]]] = [
    (None, lambda km: True),
    (Key("km").gt(5), lambda km: km > 5),
    (Key("km").lte(Decimal("4.5")), lambda km: km <= Decimal("4.5")),
    (Key("km").between(-2, 9), lambda km: -2 <= km <= 9),
    (Key("km").eq(7), lambda km: km == 7),
    (Key("km").gt(1000), lambda km: False),
]


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("number", range(len(CONDITIONS)))
def test_a_first_page_holds_the_first_of_all(orders: Any, number: int, forward: bool) -> None:
    condition, fits = CONDITIONS[number]
    whole = Key("open").eq("yes") & condition if condition is not None else Key("open").eq("yes")
    wanted = expect(orders, fits, forward)
    for limit in (1, 7, 1000):
        found = orders.query(**ask(whole, ScanIndexForward=forward, Limit=limit))
        assert [item["id"] for item in found["Items"]] == wanted[:limit]
        assert found["ScannedCount"] == min(limit, len(wanted))
        assert ("LastEvaluatedKey" in found) == (len(wanted) >= limit)


def test_pages_hold_everything_once(orders: Any) -> None:
    query, found = ask(Key("open").eq("yes") & Key("km").gt(2), Limit=9, ScanIndexForward=False), []
    while True:
        page = orders.query(**query)
        found += [item["id"] for item in page["Items"]]
        if "LastEvaluatedKey" not in page:
            break
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    assert found == expect(orders, lambda km: km > 2, forward=False)


def test_a_filter_sees_as_many_as_the_limit_says(orders: Any) -> None:
    found = orders.query(**ask(Key("open").eq("yes"), Limit=20, FilterExpression=Attr("n").gt(60)))
    first = expect(orders, lambda km: True, forward=True)[:20]
    assert found["ScannedCount"] == 20
    assert [item["id"] for item in found["Items"]] == [name for name in first if int(name[1:]) > 60]


def test_a_wrong_query_is_refused_as_ever(orders: Any) -> None:
    with pytest.raises(orders.meta.client.exceptions.ClientError, match="ValidationException"):
        orders.query(**ask(Key("open").eq("yes") & Key("km").gt("far"), Limit=3))
    with pytest.raises(orders.meta.client.exceptions.ClientError, match="ValidationException"):
        orders.query(**ask(Key("open").eq("yes") & Key("n").gt(3), Limit=3))
