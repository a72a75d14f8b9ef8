"""Keeps everything that is not an S3 object: ministack's state, row by row, in one SQLite file.

Each save is one transaction, so the file always holds a moment that was. SQLite runs in WAL mode with
`synchronous=NORMAL`: what was saved survives the death of every process here; after a power cut the file is
whole, but may lack the last moments.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from ast import literal_eval
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

from local_cloud.errors import CorruptState, StorageFull
from local_cloud.tracking import GONE, Parts, Shape, Touched, find_shape

FORMAT = 1
NAMES = ("utf-8", "surrogatepass")
"""The encoding of the rows' names."""
BLOB_BYTES = 4096
"""Longer byte strings (a function's code) are kept once, under their digest."""

_SCHEMA = f"""
PRAGMA user_version = {FORMAT};
CREATE TABLE entry (module TEXT, store TEXT, key TEXT, part TEXT, value BLOB NOT NULL, crc INTEGER NOT NULL,
                    PRIMARY KEY (module, store, key, part));
CREATE TABLE blob (digest TEXT PRIMARY KEY, data BLOB NOT NULL);
"""

Row = tuple[str, str, str, str]
"""Module, store, key (as Python writes it) and part."""


class Journal:
    """The open file at `path`, made when missing. Used by the server's main thread alone."""

    def __init__(self, path: Path) -> None:
        """Raises CorruptState when the file is damaged or of a later format; it is left as it is."""
        self._path = path
        if not path.exists():
            _make(path)
        with self._guard():
            self._database = _open(path)
        self._stores: dict[tuple[str, str], Touched] = {}
        self._known: dict[tuple[str, str, str], dict[str, Hashable]] = {}
        self._final: dict[tuple[str, str], set[Any]] = {}
        self._blobs: dict[int, str] = {}
        self._pending: dict[Row, bytes | None] = {}
        self._pending_blobs: dict[str, bytes] = {}

    def load(self) -> dict[str, dict[str, dict[Any, Any]]]:
        """Module -> store -> key -> entry, as saved. Raises CorruptState."""
        loaded: dict[str, dict[str, dict[Any, Any]]] = {}
        with self._guard():
            for (module, store, key), parts in self._read_entries():
                entries = loaded.setdefault(module, {}).setdefault(store, {})
                entries[literal_eval(key)] = find_shape(module, store).join(parts)
            self._forget_blobs()
        return loaded

    def watch(self, module: str, store: str, entries: Touched) -> None:
        """Save `entries` from now on; those in it already at the next save.

        What was loaded but is not in it any more is deleted then.
        """
        self._stores[module, store] = entries
        places = [place for place in self._known if place[:2] == (module, store)]
        entries.touched.update(literal_eval(key) for _, _, key in places)

    def touch_all(self) -> None:
        """Have the next save look at everything: some change entries without looking them up again."""
        for (module, store), entries in self._stores.items():
            final = self._final.get((module, store))
            entries.touched.update(set(entries) - final if final else list(entries))

    def save(self, lazy: bool = False) -> None:
        """Return when every change so far is in the file; with `lazy`, those of the lazy stores too.

        Raises StorageFull; the changes are then tried again with the next save.
        """
        for (module, store), entries in self._stores.items():
            if not entries.touched:
                continue
            shape = find_shape(module, store)
            if lazy or not shape.lazy:
                for key in entries.drain():
                    self._collect(module, store, key, entries.peek(key, GONE), shape)
        if self._pending:
            self._write()

    def close(self) -> None:
        """Save everything and close the file."""
        self.touch_all()
        self.save(lazy=True)
        self._database.close()

    def _collect(self, module: str, store: str, key: Any, entry: Any, shape: Shape) -> None:
        final = self._final.setdefault((module, store), set())
        if key in final and entry is not GONE:
            return
        final.discard(key)
        place = (module, store, repr(key))
        known = self._known.setdefault(place, {})
        parts = dict.fromkeys(known, GONE) if entry is GONE else shape.split(entry, known.keys())
        for part, value in parts.items():
            if value is GONE:
                if known.pop(part, None) is not None:
                    self._pending[*place, part] = None
                continue
            version = shape.version(part, value)
            if version is None or known.get(part) != version:
                data = self._encode(value)
                version = version or _digest(data)
                if known.get(part) != version:
                    known[part] = version
                    self._pending[*place, part] = data
            if shape.is_final(version):
                final.add(key)
        if entry is GONE:
            del self._known[place]

    def _write(self) -> None:
        # As bytes, because a name out of JSON may hold half of a surrogate pair.
        rows = [((*row[:3], row[3].encode(*NAMES)), data) for row, data in self._pending.items()]
        gone = [row for row, data in rows if data is None]
        kept = [(*row, data, zlib.crc32(data)) for row, data in rows if data is not None]
        try:
            with self._database as database:
                database.executemany("INSERT OR IGNORE INTO blob VALUES (?, ?)", self._pending_blobs.items())
                database.executemany(
                    "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?)", kept
                )
                database.executemany(
                    "DELETE FROM entry WHERE (module, store, key, part) = (?, ?, ?, CAST(? AS TEXT))", gone
                )
        except sqlite3.OperationalError as error:
            raise StorageFull(
                f"This write could not be kept in {self._path}: {error}.", "Free disk space."
            ) from error
        self._pending.clear()
        self._pending_blobs.clear()

    def _encode(self, value: Any) -> bytes:
        for attempt in range(5):
            try:
                return json.dumps(value, default=self._encode_other, separators=(",", ":")).encode()
            except RuntimeError:  # a worker thread changed the entry's size meanwhile
                if attempt == 4:
                    raise
        raise AssertionError

    def _encode_other(self, value: Any) -> Any:
        if isinstance(value, bytes) and len(value) >= BLOB_BYTES:
            # Python keeps the hash of a byte string with it, so an unchanged one costs nothing.
            if hash(value) not in self._blobs:
                digest = self._blobs[hash(value)] = sha256(value).hexdigest()
                self._pending_blobs[digest] = value
            return {"__blob__": self._blobs[hash(value)]}
        from ministack.core.persistence import _json_default

        return _json_default(value)

    def _decode(self, found: dict[str, Any]) -> Any:
        if not _is_mark(found):
            return found
        if "__blob__" in found:
            return self._read_blob(found["__blob__"])
        from ministack.core.persistence import _json_object_hook

        return _json_object_hook(found)

    def _read_blob(self, digest: str) -> bytes:
        rows = self._database.execute("SELECT data FROM blob WHERE digest = ?", (digest,)).fetchall()
        if not rows or sha256(rows[0][0]).hexdigest() != digest:
            raise ValueError(f"the data {digest} is missing or damaged")
        data: bytes = rows[0][0]
        self._blobs[hash(data)] = digest
        return data

    def _forget_blobs(self) -> None:
        """Delete the blobs that no row named while everything was read."""
        kept = set(self._blobs.values())
        found = [digest for (digest,) in self._database.execute("SELECT digest FROM blob")]
        with self._database as database:
            gone = [(digest,) for digest in found if digest not in kept]
            database.executemany("DELETE FROM blob WHERE digest = ?", gone)

    def _read_entries(self) -> Iterator[tuple[tuple[str, str, str], Parts]]:
        place: tuple[str, str, str] | None = None
        parts: Parts = {}
        query = "SELECT module, store, key, part, value, crc FROM entry ORDER BY module, store, key, part"
        for module, store, key, part, value, crc in self._database.execute(query):
            if zlib.crc32(value) != crc:
                raise ValueError(f"the row of {module} {store} {key} {part} fails its checksum")
            if place != (module, store, key):
                if place:
                    yield place, parts
                place, parts = (module, store, key), {}
            parts[part] = json.loads(value, object_hook=self._decode)
            version = find_shape(module, store).version(part, parts[part])
            self._known.setdefault(place, {})[part] = version or _digest(value)
        if place:
            yield place, parts

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as error:
            raise damaged(self._path, error) from error


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _is_mark(found: dict[str, Any]) -> bool:
    """Whether it stands for something else; an attribute of such a name would hold an object, `{"S": …}`."""
    if len(found) == 1:
        return isinstance(found.get("__blob__", found.get("__bytes__")), str)
    return len(found) == 2 and (
        found.get("__scoped__") is True or found.get("__account_region_scoped__") is True
    )


def damaged(path: Path, reason: object) -> CorruptState:
    """The error for a state file that cannot be used."""
    hint = f"Restore {path.parent} from a backup, or move it away to start with an empty cloud."
    return CorruptState(f"The state file {path} is damaged: {reason}. Nothing was changed.", hint)


def _make(path: Path) -> None:
    # Made aside, so that a file of that name is always whole.
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    os.close(os.open(scratch, os.O_CREAT | os.O_EXCL, 0o600))
    database = sqlite3.connect(scratch)
    database.executescript(_SCHEMA)
    database.close()
    scratch.replace(path)


def _open(path: Path) -> sqlite3.Connection:
    if path.stat().st_size == 0:
        raise ValueError("it is empty")
    database = sqlite3.connect(path)
    (format_,) = database.execute("PRAGMA user_version").fetchone()
    if format_ != FORMAT:
        raise ValueError(f"it is of format {format_}, and this program knows format {FORMAT}")
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise ValueError(found)
    database.text_factory = lambda name: name.decode(*NAMES)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    return database
