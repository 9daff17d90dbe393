"""The world: everything there is, the time that it is, and what becomes due. One lock for all of it."""

import heapq
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing.fakestripe.core.clock import Clock
from billing.fakestripe.core.errors import missing
from billing.fakestripe.core.settings import Settings
from billing.fakestripe.core.store import Obj, Store

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VERSION = "2026-10-28.endive"

Verb = Callable[["World", Obj], None]
VERBS: dict[str, Verb] = {}


def due(name: str) -> Callable[[Verb], Verb]:
    """Register what is done with an object when its time for `name` has come."""

    def enter(verb: Verb) -> Verb:
        VERBS[name] = verb
        return verb

    return enter


@dataclass
class Request:
    """Which call is being carried out; what happens by itself has none."""

    id: str | None = None
    idempotency_key: str | None = None
    version: str = VERSION


def public(obj: Obj) -> Obj:
    """The object as Stripe shows it: names that begin with an underscore are the fake's own notes."""
    return {name: value for name, value in obj.items() if name[0] != "_"}


def _difference(old: Obj, new: Obj) -> Obj:
    """What the changed attributes were before."""
    changed: Obj = {}
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict) and before.get("object") != "list":
            changed[name] = _difference(before, after)
        else:
            changed[name] = before
    return changed


class World:
    """The store, the clock, the settings, and the verbs that every noun uses."""

    def __init__(self, folder: Path | None = None, *, frozen_at: int | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = Clock(frozen_at)
        self.settings = Settings()
        self.store = Store(folder)
        self.base_url = "http://127.0.0.1"
        self.request = Request()
        self._heap: list[tuple[int, int, str, str]] = []
        self._pushed = 0
        self.wake: Callable[[], None] = lambda: None
        self._recall()

    def _recall(self) -> None:
        self.clock.restore(self.store.meta("clock") or {})
        self.settings.change(self.store.meta("settings") or {})
        for obj in list(self.store.objects.values()):
            for verb, at in (obj.get("_due") or {}).items():
                self._push(at, obj["id"], verb)

    @property
    def now(self) -> int:
        """The fake's time."""
        return self.clock.now()

    def id(self, prefix: str, length: int = 24) -> str:
        """A new identifier in Stripe's manner."""
        bits = secrets.randbits(length * 6)
        letters = []
        for _ in range(length):
            bits, at = divmod(bits, 62)
            letters.append(ALPHABET[at])
        return f"{prefix}_{''.join(letters)}"

    def find(self, kind: str, key: str | None) -> Obj | None:
        """The object of this kind, or None; deleted ones are not found."""
        obj = self.store.get(key) if key else None
        return obj if obj is not None and obj["object"] == kind and not obj.get("deleted") else None

    def get(self, kind: str, key: str, *, param: str | None = None) -> Obj:
        """The object of this kind, or Stripe's error: 404 for the address, 400 for a parameter's name."""
        obj = self.find(kind, key)
        if obj is None:
            noun = kind.split(".")[-1].replace("_", " ")
            raise missing(noun, key, param=param or "id", status=400 if param else 404)
        return obj

    def save(self, obj: Obj, *types: str) -> None:
        """Keep the object's new state and tell of it: one event for each type, `.updated` only if it changed."""
        before = self.store.told(obj["id"]) if types else None
        self.store.put(obj)
        if not types:
            return
        self.store.tell(obj["id"])
        shown = public(obj)
        previous = _difference(public(before), shown) if before is not None else None
        for type in types:
            if type.endswith(".updated") and before is not None and not previous:
                continue
            carries = previous if type.rsplit(".", 1)[-1] in ("updated", "refunded", "resumed", "paused") else None
            self.emit(type, shown, carries)

    def emit(self, type: str, shown: Obj, previous: Obj | None = None) -> Obj:
        """Write an event with a snapshot of the object, and a delivery to each endpoint that wants it."""
        data: Obj = {"object": json.loads(json.dumps(shown))}
        if previous:
            data["previous_attributes"] = previous
        wanting = [
            endpoint
            for endpoint in self.store.all("webhook_endpoint")
            if endpoint["status"] == "enabled"
            and ("*" in endpoint["enabled_events"] or type in endpoint["enabled_events"])
        ]
        event: Obj = {
            "id": self.id("evt"),
            "object": "event",
            "api_version": self.request.version,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": len(wanting),
            "request": {"id": self.request.id, "idempotency_key": self.request.idempotency_key},
            "type": type,
        }
        self.store.put(event)
        for endpoint in wanting:
            self.store.put(
                {
                    "id": self.id("_dlv"),
                    "object": "_delivery",
                    "event": event["id"],
                    "endpoint": endpoint["id"],
                    "state": "waiting",
                    "attempts": 0,
                    "next_at": self.now,
                    "first_at": self.now,
                }
            )
        return event

    def later(self, obj: Obj, verb: str, at: int | None) -> None:
        """Let `verb` be done with the object at that moment, or no more with None. The caller saves the object."""
        waiting = obj.setdefault("_due", {})
        if at is None:
            waiting.pop(verb, None)
        elif waiting.get(verb) != at:
            waiting[verb] = at
            self._push(at, obj["id"], verb)

    def _push(self, at: int, key: str, verb: str) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (at, self._pushed, key, verb))

    def catch_up(self) -> int:
        """Do everything that is due by now, in order, each at its own moment. Answers how many things were done."""
        done = 0
        while self._heap and self._heap[0][0] <= self.clock.real_now():
            at, _, key, verb = heapq.heappop(self._heap)
            obj = self.store.get(key)
            # An object may have been given another moment since, or be gone: only the present entry counts.
            if obj is None or obj.get("_due", {}).get(verb) != at:
                continue
            del obj["_due"][verb]
            self.store.put(obj)
            earlier, self.request = self.request, Request()
            self.clock.pin(at)
            try:
                VERBS[verb](self, obj)
            finally:
                self.clock.pin(None)
                self.request = earlier
            done += 1
        return done

    def advance_to(self, at: int) -> int:
        """Move the clock forward through everything due until then. Answers how many things were done."""
        with self.lock:
            self.clock.move_to(at)
            done = self.catch_up()
            self.flush()
        self.wake()
        return done

    @contextmanager
    def attempt(self, *, keep: bool = True) -> Iterator[None]:
        """Undo everything done inside if it raises; with keep=False undo it in any case."""
        self.store.begin_undo()
        try:
            yield
        except BaseException:
            self.store.undo()
            raise
        if keep:
            self.store.keep()
        else:
            self.store.undo()

    def flush(self) -> None:
        """Write what changed to the file."""
        self.store.set_meta("clock", self.clock.state())
        self.store.flush()

    def change_settings(self, values: dict[str, Any]) -> None:
        """Change some settings and keep them."""
        self.settings.change(values)
        self.store.set_meta("settings", json.loads(json.dumps(self.settings.as_dict())))

    def reset(self) -> None:
        """Forget every object and setting. Endpoints stay, since they are wiring; so does the clock."""
        endpoints = self.store.all("webhook_endpoint")
        self.store.clear()
        for endpoint in endpoints:
            self.store.put(endpoint)
        self.settings = Settings()
        self._heap.clear()
