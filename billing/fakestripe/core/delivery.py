"""Posts events to the endpoints, signed, again and again until each has said yes or three days are over."""

import hashlib
import hmac
import json
import threading
import time
from dataclasses import dataclass

import httpx

from billing.fakestripe.core.faults import Faults
from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import World, public

THREE_DAYS = 3 * 86_400
SECONDS_TO_ANSWER = 20.0


def signature(body: str, secret: str, at: int) -> str:
    """The Stripe-Signature header for this body."""
    mac = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


@dataclass
class Letter:
    """One post that is about to be made, taken out of the world so that no lock is held meanwhile."""

    delivery: str
    url: str
    secret: str
    body: str
    type: str
    at: int


class Postman(threading.Thread):
    """One thread, one letter after another: an endpoint sees events in the order in which they happened."""

    def __init__(self, world: World, faults: Faults) -> None:
        super().__init__(name="fakestripe-postman", daemon=True)
        self.world = world
        self.faults = faults
        self._wake = threading.Condition()
        self._stopping = threading.Event()
        self._is_busy = False
        self._client = httpx.Client(timeout=SECONDS_TO_ANSWER, follow_redirects=False, trust_env=False)
        world.wake = self.nudge

    def nudge(self) -> None:
        """Look again whether there is something to post."""
        with self._wake:
            self._wake.notify_all()

    def stop(self) -> None:
        """Finish the letter in hand and end."""
        self._stopping.set()
        self.nudge()
        self.join(timeout=SECONDS_TO_ANSWER + 5)
        self._client.close()

    def run(self) -> None:
        while not self._stopping.is_set():
            with self._wake:
                letters = self._due()
                if not letters:
                    self._wake.wait(timeout=0.5)
                    letters = self._due()
                self._is_busy = bool(letters)
            for letter in letters:
                if self._stopping.is_set():
                    break
                self._post(letter)
            with self._wake:
                self._is_busy = False
                self._wake.notify_all()
            if not self.world.clock.is_frozen:
                with self.world.lock:
                    if self.world.catch_up():
                        self.world.flush()

    def _waiting(self) -> list[Obj]:
        return self.world.store.where("_delivery", "state", "waiting")

    def _due(self) -> list[Letter]:
        world = self.world
        knobs = self.faults.webhooks
        with world.lock:
            if knobs.hold or not world.store.count("_delivery"):
                return []
            now = world.now
            due = [item for item in self._waiting() if item["next_at"] <= now]
            letters = [letter for item in due if (letter := self._letter(item)) is not None]
            if knobs.reorder:
                knobs.random.shuffle(letters)
            world.flush()
        return letters

    def _letter(self, delivery: Obj) -> Letter | None:
        endpoint = self.world.store.get(delivery["endpoint"])
        event = self.world.store.get(delivery["event"])
        if endpoint is None or endpoint.get("deleted") or event is None:
            delivery["state"] = "abandoned"
            self.world.store.put(delivery)
            return None
        version = endpoint["api_version"] or event["api_version"]
        body = json.dumps({**public(event), "api_version": version}, indent=2)
        return Letter(delivery["id"], endpoint["url"], endpoint["_secret"], body, event["type"], self.world.now)

    def _post(self, letter: Letter) -> None:
        knobs = self.faults.webhooks
        if knobs.hold:
            return
        if knobs.drops(letter.type):
            self._note(letter, False)
            return
        if knobs.delay:
            time.sleep(knobs.delay)
        went_well = [self.send(letter) for _ in range(1 + knobs.duplicate)]
        self._note(letter, went_well[0])

    def send(self, letter: Letter) -> bool:
        """Post once. True if the endpoint said yes."""
        knobs = self.faults.webhooks
        # The receiver compares with its own clock, so the signature carries real time, whatever time it is here.
        at = int(time.time()) - (3600 if knobs.stale else 0)
        secret = "whsec_somebody_else" if knobs.wrong_signature else letter.secret
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(letter.body, secret, at),
            "User-Agent": "Stripe/1.0 (offline double)",
        }
        try:
            answer = self._client.post(letter.url, content=letter.body.encode(), headers=headers)
        except httpx.HTTPError:
            return False
        return 200 <= answer.status_code < 300

    def _note(self, letter: Letter, is_done: bool) -> None:
        world = self.world
        with world.lock:
            delivery = world.store.get(letter.delivery)
            if delivery is None:
                return
            delivery["attempts"] += 1
            if is_done:
                delivery["state"] = "done"
                event = world.store.get(delivery["event"])
                if event is not None:
                    event["pending_webhooks"] = max(0, event["pending_webhooks"] - 1)
                    world.store.put(event)
            else:
                pauses = world.settings.delivery_pauses
                delivery["next_at"] = world.now + pauses[min(delivery["attempts"], len(pauses)) - 1]
                if delivery["next_at"] > delivery["first_at"] + THREE_DAYS:
                    delivery["state"] = "failed"
            world.store.put(delivery)
            world.flush()

    def release(self, order: list[str] | None = None) -> int:
        """Post what was held, in the given order of event ids and only those; all of it, oldest first, with None.

        Answers how many were posted.
        """
        with self.world.lock:
            held = self._waiting()
            if order is not None:
                by_event = {item["event"]: item for item in held}
                held = [by_event[key] for key in order if key in by_event]
            letters = [letter for item in held if (letter := self._letter(item)) is not None]
        for letter in letters:
            self._note(letter, self.send(letter))
        return len(letters)

    def resend(self, event_id: str, url: str, secret: str) -> int:
        """Post one event anywhere, as often as somebody likes, without noting it. Answers the status, 0 for none."""
        with self.world.lock:
            event = self.world.store.get(event_id)
            if event is None:
                raise KeyError(event_id)
            body = json.dumps(public(event), indent=2)
        headers = {"Stripe-Signature": signature(body, secret, int(time.time())), "Content-Type": "application/json"}
        try:
            return self._client.post(url, content=body.encode(), headers=headers).status_code
        except httpx.HTTPError:
            return 0

    def settle(self, deadline: float = 30.0) -> bool:
        """Wait until nothing is left to post now. False if that took longer than the deadline."""
        until = time.monotonic() + deadline
        with self._wake:
            self._wake.notify_all()
        while time.monotonic() < until:
            with self._wake:
                if not self._is_busy:
                    with self.world.lock:
                        now = self.world.now
                        left = any(item["next_at"] <= now for item in self._waiting())
                    if not left or self.faults.webhooks.hold:
                        return True
                self._wake.wait(timeout=0.05)
        return False
