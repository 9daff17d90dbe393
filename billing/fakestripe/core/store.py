"""Where objects live: in memory, and written through to one SQLite file if there is a folder."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Obj = dict[str, Any]

# What is looked up often enough to deserve more than a walk over everything.
INDEXED = {
    "refund": ("charge",),
    "dispute": ("charge",),
    "charge": ("payment_intent", "customer"),
    "invoice_payment": ("invoice", "_payment"),
    "payment_method": ("customer",),
    "payment_intent": ("customer",),
    "subscription": ("customer",),
    "invoice": ("customer", "_subscription"),
    "invoiceitem": ("_subscription",),
    "balance_transaction": ("source",),
    "checkout.session": ("customer", "payment_intent", "subscription"),
    "_delivery": ("event", "state"),
    "price": ("lookup_key", "product"),
    "promotion_code": ("code",),
}
# These are written once or are nobody's history: no earlier state of them is kept in memory.
UNDIFFED = {"event", "_delivery", "_answer"}


class Store:
    """Objects by id and by kind, oldest first. Callers hold the world's lock."""

    def __init__(self, folder: Path | None = None) -> None:
        self.objects: dict[str, Obj] = {}
        self._kinds: dict[str, dict[str, Obj]] = {}
        self._index: dict[tuple[str, str, str], dict[str, Obj]] = {}
        self._indexed_as: dict[str, list[tuple[str, str, str]]] = {}
        self._shadow: dict[str, str] = {}
        # Each object as the last event about it left it: several silent steps make one difference to tell.
        self._told: dict[str, str] = {}
        self._order: dict[str, int] = {}
        self._next = 1
        self._dirty: dict[str, None] = {}
        self._undo: dict[str, str | None] | None = None
        self._undo_told: dict[str, str] = {}
        self._base: sqlite3.Connection | None = None
        self._meta: dict[str, Any] = {}
        self._meta_dirty = False
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(folder / "fakestripe.sqlite3", check_same_thread=False, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.execute(
                "CREATE TABLE IF NOT EXISTS object (id TEXT PRIMARY KEY, kind TEXT, place INTEGER, body TEXT)"
            )
            self._base.execute("CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT)")
            self._load()

    def _load(self) -> None:
        assert self._base is not None
        for key, place, body in self._base.execute("SELECT id, place, body FROM object ORDER BY place"):
            self._next = max(self._next, place)
            self._enter(key, json.loads(body), place)
            self._next = place + 1
        self._meta = {key: json.loads(value) for key, value in self._base.execute("SELECT key, value FROM meta")}
        self._dirty.clear()

    def _enter(self, key: str, obj: Obj, place: int | None = None) -> None:
        if key not in self.objects:
            self._order[key] = place if place is not None else self._next
            self._next = self._order[key] + 1
        self.objects[key] = obj
        kind = obj["object"]
        self._kinds.setdefault(kind, {})[key] = obj
        self._reindex(key, obj)
        if kind not in UNDIFFED:
            self._shadow[key] = json.dumps(obj)
            self._told.setdefault(key, self._shadow[key])
        self._dirty[key] = None

    def _reindex(self, key: str, obj: Obj) -> None:
        kind = obj["object"]
        fields = INDEXED.get(kind)
        if fields is None:
            return
        now = [(kind, field, str(obj[field])) for field in fields if obj.get(field) is not None]
        before = self._indexed_as.get(key)
        if before == now:
            return
        for place in before or ():
            self._index[place].pop(key, None)
        for place in now:
            self._index.setdefault(place, {})[key] = obj
        self._indexed_as[key] = now

    def put(self, obj: Obj) -> None:
        """Keep this state of the object."""
        key = obj["id"]
        before = self._shadow.get(key)
        if self._undo is not None and key not in self._undo:
            known = key in self.objects
            self._undo[key] = (before or json.dumps(self.objects[key])) if known else None
            if known and key in self._told:
                self._undo_told[key] = self._told[key]
        self._enter(key, obj)

    def told(self, key: str) -> Obj | None:
        """The object as the last event about it left it, or None if it was never kept."""
        text = self._told.get(key)
        return json.loads(text) if text is not None else None

    def tell(self, key: str) -> None:
        """An event tells how the object stands now."""
        if key in self._shadow:
            self._told[key] = self._shadow[key]

    def remove(self, key: str) -> None:
        """Forget the object as though it had never been."""
        obj = self.objects.pop(key, None)
        if obj is None:
            return
        self._kinds[obj["object"]].pop(key, None)
        for place in self._indexed_as.pop(key, ()):
            self._index[place].pop(key, None)
        self._shadow.pop(key, None)
        self._told.pop(key, None)
        self._order.pop(key, None)
        self._dirty[key] = None

    def get(self, key: str) -> Obj | None:
        """The object itself, not a copy; change it and `put` it."""
        return self.objects.get(key)

    def all(self, kind: str) -> list[Obj]:
        """Every object of a kind, oldest first."""
        return list(self._kinds.get(kind, {}).values())

    def count(self, kind: str) -> int:
        """How many there are of a kind."""
        return len(self._kinds.get(kind, {}))

    def where(self, kind: str, field: str, value: str) -> list[Obj]:
        """The objects of a kind whose indexed field has this value, oldest first."""
        found = self._index.get((kind, field, value), {})
        return sorted(found.values(), key=lambda obj: self._order[obj["id"]])

    def newest_first(self, kind: str) -> Iterator[Obj]:
        """Every object of a kind, newest first."""
        return reversed(list(self._kinds.get(kind, {}).values()))

    def kinds(self) -> list[str]:
        """The kinds that have ever had an object."""
        return sorted(self._kinds)

    def begin_undo(self) -> None:
        """Remember how things stand, so that `undo` can bring them back."""
        self._undo = {}
        self._undo_told = {}

    def keep(self) -> None:
        """What was done since `begin_undo` stays."""
        self._undo = None

    def undo(self) -> None:
        """Put back everything that was kept since `begin_undo`, in place."""
        undo, self._undo = self._undo or {}, None
        for key, before in undo.items():
            if before is None:
                self.remove(key)
                self._dirty.pop(key, None)
            else:
                obj = self.objects[key]
                obj.clear()
                obj.update(json.loads(before))
                self._enter(key, obj)
                self._told.update({key: self._undo_told[key]} if key in self._undo_told else {})

    def meta(self, key: str) -> Any:
        """A value that is no object, or None."""
        return self._meta.get(key)

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a value that is no object."""
        if self._meta.get(key) != value:
            self._meta[key] = value
            self._meta_dirty = True

    def flush(self) -> None:
        """Write what changed since the last call, in one transaction."""
        if self._base is None:
            self._dirty.clear()
            return
        if not self._dirty and not self._meta_dirty:
            return
        rows, gone = [], []
        for key in self._dirty:
            obj = self.objects.get(key)
            if obj is None:
                gone.append((key,))
            else:
                body = self._shadow.get(key) or json.dumps(obj)
                rows.append((key, obj["object"], self._order[key], body))
        self._base.execute("BEGIN")
        self._base.executemany("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)", rows)
        self._base.executemany("DELETE FROM object WHERE id = ?", gone)
        if self._meta_dirty:
            values = [(key, json.dumps(value)) for key, value in self._meta.items()]
            self._base.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values)
        self._base.execute("COMMIT")
        self._dirty.clear()
        self._meta_dirty = False

    def clear(self) -> None:
        """Forget everything, in memory and on disk."""
        for key in list(self.objects):
            self.remove(key)
        self._meta.clear()
        if self._base is not None:
            self._base.execute("DELETE FROM object")
            self._base.execute("DELETE FROM meta")
        self._dirty.clear()
        self._index.clear()
        self._next = 1

    def close(self) -> None:
        """Let go of the file."""
        self.flush()
        if self._base is not None:
            self._base.close()
            self._base = None
