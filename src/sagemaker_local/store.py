"""Durable resources: one SQLite file, one row a resource, committed before the call is acknowledged."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sagemaker_local.errors import StateError

FORMAT = 1
_SCHEMA = """
create table resource (
    kind text not null, name text not null, arn text not null, created real not null, body text not null,
    primary key (kind, name)
) without rowid;
create index resource_arn on resource (arn);
"""

Record = dict[str, Any]


class Store:
    """Resources by kind and name. A record is the answer to its Describe call, times in seconds since 1970.

    Safe for threads. `kill -9` loses nothing that was acknowledged: SQLite's write-ahead log is synced at
    each commit.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StateError for a damaged file or one of another format."""
        self._lock = threading.RLock()
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._open(path)
        except sqlite3.DatabaseError as error:
            raise StateError(f"{path} is damaged ({error}); move it away or restore a copy.") from error

    def _open(self, path: Path) -> None:
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = full")
        (found,) = self._database.execute("pragma quick_check(1)").fetchone()
        if found != "ok":
            raise StateError(f"{path} is damaged ({found}); move it away or restore a copy.")
        (version,) = self._database.execute("pragma user_version").fetchone()
        if version not in (0, FORMAT):
            raise StateError(f"{path} has format {version}; this program reads format {FORMAT}.")
        if version == 0:
            self._database.executescript(f"begin; {_SCHEMA} pragma user_version = {FORMAT}; commit;")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and alone: read, decide and write inside it."""
        with self._lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")

    def add(self, kind: str, name: str, arn: str, body: Record) -> bool:
        """Keep a new record; False, and nothing done, when the name is taken."""
        with self.transaction():
            if self.find(kind, name) is not None:
                return False
            row = (kind, name, arn, time.time(), json.dumps(body))
            self._database.execute("insert into resource values (?, ?, ?, ?, ?)", row)
            return True

    def find(self, kind: str, name: str) -> Record | None:
        """The record, or None."""
        with self._lock:
            row = self._database.execute(
                "select body from resource where kind = ? and name = ?", (kind, name)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def find_arn(self, arn: str) -> tuple[str, str] | None:
        """Kind and name of the resource with `arn`, or None."""
        with self._lock:
            row = self._database.execute("select kind, name from resource where arn = ?", (arn,)).fetchone()
        return None if row is None else (row[0], row[1])

    def list(self, kind: str) -> list[Record]:
        """Every record of a kind, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "select body from resource where kind = ? order by created, name", (kind,)
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def change(self, kind: str, name: str, edit: Callable[[Record], None]) -> Record | None:
        """Let `edit` change the record in place and keep it; None when it is gone.

        `LastModifiedTime` follows.
        """
        with self.transaction():
            record = self.find(kind, name)
            if record is None:
                return None
            edit(record)
            record["LastModifiedTime"] = time.time()
            self._database.execute(
                "update resource set body = ? where kind = ? and name = ?", (json.dumps(record), kind, name)
            )
            return record

    def remove(self, kind: str, name: str) -> bool:
        """Forget the record; False when there was none."""
        with self.transaction():
            done = self._database.execute("delete from resource where kind = ? and name = ?", (kind, name))
            return done.rowcount > 0
