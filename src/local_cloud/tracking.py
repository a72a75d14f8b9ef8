"""Which entries of ministack's stores may have changed, and how each is cut into the rows of the journal.

A store is a dict of entries (a function, a queue, a table, an execution). To change an entry, a program must
first look it up; so the entries looked up since the last save are the only ones that need a second look, and
a save costs what was touched and not what is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, KeysView, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any

_only_looking: ContextVar[bool] = ContextVar("only_looking", default=False)

Parts = dict[str, Any]

GONE = object()
"""In the place of a part: its row is to be deleted."""


def only_looks(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which is known to change no entry: what it looks up does not count as touched."""

    @wraps(function)
    def look(*given: Any, **named: Any) -> Any:
        token = _only_looking.set(True)
        try:
            return function(*given, **named)
        finally:
            _only_looking.reset(token)

    return look


class Touched(defaultdict[Any, Any]):
    """A dict that remembers the keys that were looked up, set or deleted, by any thread.

    With `walks`, whoever walks over the values counts as having looked up every key.
    """

    def __init__(
        self, content: Mapping[Any, Any], factory: Callable[[], Any] | None = None, walks: bool = True
    ):
        super().__init__(factory, content)
        self.touched: set[Any] = set(content)
        self.walks = walks

    def drain(self) -> Iterator[Any]:
        """Take the touched keys, one by one; those touched meanwhile stay for the next time."""
        while self.touched:
            yield self.touched.pop()

    def peek(self, key: Any, default: Any = None) -> Any:
        """Look up without touching."""
        return super().get(key, default)

    def touch_all(self) -> None:
        self.touched.update(list(self))

    def __getitem__(self, key: Any) -> Any:
        if not _only_looking.get():
            self.touched.add(key)
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        if not _only_looking.get():
            self.touched.add(key)
        return super().get(key, default)

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self.touched.add(key)
        return super().setdefault(key, default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.touched.add(key)

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self.touched.add(key)

    def pop(self, key: Any, *default: Any) -> Any:
        self.touched.add(key)
        return super().pop(key, *default)

    def clear(self) -> None:
        self.touch_all()
        super().clear()

    def update(self, *others: Any, **named: Any) -> None:
        super().update(*others, **named)
        for other in (*others, named):
            self.touched.update(dict(other))

    def __reduce__(self) -> Any:  # for copy.deepcopy: a copy remembers nothing
        return defaultdict, (self.default_factory, dict(self))

    def values(self) -> Any:
        if self.walks and not _only_looking.get():
            self.touch_all()
        return super().values()

    def items(self) -> Any:
        if self.walks and not _only_looking.get():
            self.touch_all()
        return super().items()


def _whole(entry: Any, known: KeysView[str]) -> Parts:
    return {"": entry}


def _join_whole(parts: Parts) -> Any:
    return parts[""]


@dataclass(frozen=True)
class Shape:
    """How an entry becomes rows.

    `split` takes the entry and the names of the parts saved before, and gives the parts that may have
    changed; `join` is its inverse. `version` gives a value that differs whenever a part does (None: compare
    what would be saved), and `is_final` whether an entry saved with that version can never change again.
    Entries of `lazy` stores are saved by the next sweep, and not before the response.
    """

    split: Callable[[Any, KeysView[str]], Parts] = _whole
    join: Callable[[Parts], Any] = _join_whole
    version: Callable[[str, Any], Hashable | None] = lambda part, value: None
    is_final: Callable[[Hashable], bool] = lambda version: False
    lazy: bool = False


def _split_table(table: dict[str, Any], known: KeysView[str]) -> Parts:
    items = table["items"]
    if not isinstance(items, Touched):  # a new table, or one whose items were exchanged as a whole
        items = table["items"] = Touched(items, dict, walks=False)
        items.touched |= known - {""}
    # "_index_members" and the like are derived, and rebuilt when missing.
    about = {name: value for name, value in table.items() if name != "items" and not name.startswith("_")}
    return {"": about, **{key: items.peek(key, GONE) for key in items.drain()}}


def _join_table(parts: Parts) -> Any:
    return {**parts[""], "items": {key: value for key, value in parts.items() if key}}


def _split_queue(queue: dict[str, Any], known: KeysView[str]) -> Parts:
    messages = {message["id"]: message for message in list(queue["messages"])}
    gone = dict.fromkeys(known - messages.keys() - {""}, GONE)
    return {"": {**queue, "messages": []}, **messages, **gone}


def _join_queue(parts: Parts) -> Any:
    messages = [value for key, value in parts.items() if key]
    messages.sort(key=lambda message: (message["sent_at"], message["seq"] or ""))
    return {**parts[""], "messages": messages}


def _version_message(part: str, message: Any) -> Hashable | None:
    if not part:
        return None
    return message["receive_count"], message["visible_at"], message["receipt_handle"]


_ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


def _version_execution(part: str, execution: Any) -> Hashable | None:
    # The steps of a running execution are nobody's acknowledged write: its start is kept, and then its end.
    if execution["status"] == "RUNNING":
        return "RUNNING"
    events = execution.get("events") or [{"type": ""}]
    return execution["status"], execution["stopDate"], len(events), events[-1]["type"]


def _is_ended(version: Hashable) -> bool:
    return isinstance(version, tuple) and version[-1] in _ENDS


def _split_log_group(group: dict[str, Any], known: KeysView[str]) -> Parts:
    streams = {f"/{name}": stream for name, stream in list(group["streams"].items())}
    gone = dict.fromkeys(known - streams.keys() - {""}, GONE)
    return {"": {**group, "streams": {}}, **streams, **gone}


def _join_log_group(parts: Parts) -> Any:
    return {**parts[""], "streams": {key[1:]: value for key, value in parts.items() if key}}


def _version_stream(part: str, stream: Any) -> Hashable | None:
    return (len(stream["events"]), stream.get("lastIngestionTime")) if part else None


def _split_bucket(bucket: dict[str, Any], known: KeysView[str]) -> Parts:
    return {"": {name: value for name, value in bucket.items() if name != "objects"}}


# Entries that are written once, by the thousand, and never changed.
_ONCE = Shape(version=lambda part, value: "written", is_final=lambda version: True, lazy=True)

# Per module of ministack and store.
SHAPES: Mapping[tuple[str, str], Shape] = {
    ("cloudwatch", "alarm_history"): Shape(lazy=True),
    ("cloudwatch", "metrics"): Shape(lazy=True),
    ("cloudwatch_logs", "log_groups"): Shape(_split_log_group, _join_log_group, _version_stream, lazy=True),
    ("cloudwatch_logs", "log_records"): _ONCE,
    ("cloudwatch_logs", "queries"): Shape(lazy=True),
    ("dynamodb", "tables"): Shape(_split_table, _join_table),
    ("s3", "buckets_meta"): Shape(_split_bucket),
    ("sqs", "queues"): Shape(_split_queue, _join_queue, _version_message),
    ("stepfunctions", "executions"): Shape(version=_version_execution, is_final=_is_ended),
}

_WHOLE = Shape()


def find_shape(module: str, store: str) -> Shape:
    """The shape of the entries of a store; most are one row and saved before the response."""
    return SHAPES.get((module, store), _WHOLE)
