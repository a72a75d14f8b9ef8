"""DynamoDB's queries at a cost that grows with what they return and not with what the table holds.

ministack 1.5.33 parses an expression again for every item that it is applied to, and sorts and checks a whole
partition of an index for each query. With hundreds of open orders the two were more than half of what the
gateway did for a check-in.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any

EXPRESSIONS = 1024  # remembered at a time

Key = tuple[Any, Any]
"""An item's partition and sort key in its table."""
Rank = tuple[Any, ...]
"""What an index orders an item by: the index's sort key, then the item's key."""


@dataclass
class Asked:
    """A query for a first page, and the items that are known to meet its key condition."""

    request: dict[str, Any]
    fitting: set[int]  # their id()


_asked: ContextVar[Asked | None] = ContextVar("asked", default=None)


def install() -> None:
    """Replace what ministack does for every item."""
    from ministack.services import dynamodb as engine

    read_tokens = lru_cache(EXPRESSIONS)(engine._tokenize)
    engine._tokenize = lambda expression: list(read_tokens(expression))  # whoever gets them may change them
    engine._condition_syntax_error = lru_cache(EXPRESSIONS)(engine._condition_syntax_error)
    engine._index_members = lambda table: _find_members(engine, table)
    engine._evaluate_condition = _once(engine._evaluate_condition)
    engine._query = _told(engine._query)


def _told(query: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """`query`, whose partition tells only the items that the first page may hold."""

    @wraps(query)
    def ask(request: dict[str, Any]) -> Any:
        first_page = request.get("Limit") and not request.get("ExclusiveStartKey")
        told = first_page and request.get("KeyConditionExpression")
        token = _asked.set(Asked(request, set()) if told else None)
        try:
            return query(request)
        finally:
            _asked.reset(token)

    return ask


def _once(evaluate: Callable[..., bool]) -> Callable[..., bool]:
    """`evaluate`, which is not done again for what is known."""

    def evaluate_once(condition: str, item: Any, values: Any, names: Any, **more: Any) -> bool:
        asked = _asked.get()
        is_key = more.get("slot") == "KeyConditionExpression"
        if asked and is_key and id(item) in asked.fitting:
            return True
        fits = evaluate(condition, item, values, names, **more)
        if asked and is_key and fits:
            asked.fitting.add(id(item))
        return fits

    return evaluate_once


def _find_members(engine: Any, table: dict[str, Any]) -> dict[str, Partitions]:
    """Index name -> its partitions; made when missing, and kept up to date by ministack."""
    members: dict[str, Partitions] | None = table.get(engine._INDEX_MEMBERS)
    if members is None:
        schemas = engine._index_key_schemas(table)
        members = {name: Partitions(engine, table, ranges) for name, _, ranges in schemas}
        table[engine._INDEX_MEMBERS] = members
        for partition_key, items in list(table["items"].items()):
            for sort_key, item in list(items.items()):
                engine._index_item(table, partition_key, sort_key, item, add=True)
    return members


class Partitions(dict[Any, "Members"]):
    """The partitions of one index."""

    def __init__(self, engine: Any, table: dict[str, Any], ranges: list[str]) -> None:
        super().__init__()
        self._engine, self._table = engine, table
        self._order = engine._index_order_keys(table, ranges)

    def setdefault(self, partition: Any, default: Any = None) -> Members:
        if partition not in self:
            self[partition] = Members(self)
        return self[partition]

    def find(self, key: Key) -> dict[str, Any]:
        item: dict[str, Any] = self._table["items"][key[0]][key[1]]
        return item

    def rank(self, key: Key) -> Rank:
        item = self.find(key)
        return tuple(self._engine._index_order_value(item, name, kind) for name, kind in self._order)

    def fits(self, key: Key, query: dict[str, Any]) -> bool:
        """Whether the item meets the query's key condition. Raises ValueError."""
        values, names = query.get("ExpressionAttributeValues", {}), query.get("ExpressionAttributeNames", {})
        condition = query["KeyConditionExpression"]
        return bool(
            self._engine._evaluate_condition(
                condition, self.find(key), values, names, slot="KeyConditionExpression"
            )
        )


class Members(dict[Key, Any]):
    """The keys of the items in one partition of an index, with the rank of each, also in order."""

    def __init__(self, partitions: Partitions) -> None:
        super().__init__()
        self._partitions = partitions
        self._ordered: list[tuple[Rank, Key]] = []

    def __setitem__(self, key: Key, _: None) -> None:
        self.pop(key)
        rank = self._partitions.rank(key)
        super().__setitem__(key, rank)
        insort(self._ordered, (rank, key))

    def pop(self, key: Key, default: Any = None) -> Any:
        rank = super().pop(key, None)
        if rank is not None:
            del self._ordered[bisect_left(self._ordered, (rank, key))]
        return default

    def __iter__(self) -> Iterator[Key]:
        """All keys; within a query for a first page, those in it."""
        asked = _asked.get()
        if asked is None:
            return super().__iter__()
        try:
            return iter(self._choose(asked.request, int(asked.request["Limit"])))
        except (KeyError, TypeError, ValueError):  # ministack says what is wrong with the query
            return super().__iter__()

    def _choose(self, query: dict[str, Any], limit: int) -> list[Key]:
        forward = query.get("ScanIndexForward", True)
        chosen: list[Key] = []
        for _, key in self._ordered if forward else reversed(self._ordered):
            if len(chosen) == limit:
                break
            if self._partitions.fits(key, query):
                chosen.append(key)
        return chosen
