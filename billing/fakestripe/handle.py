"""The fake as an object: starts in a thread of this process, and is asked by name."""

import re
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from billing.fakestripe.core.store import Obj
from billing.fakestripe.core.world import public
from billing.fakestripe.nouns import endpoints
from billing.fakestripe.web.server import Running, listener

CARD = "4242424242424242"


class Declined(Exception):
    """The hosted page did not take the card; the message is the sentence that a person reads there."""


class FakeStripe:
    """An offline Stripe for `with`: `url` for the client, `key`, `webhook_secret`, and what a person would do.

    With a folder everything survives a restart. `frozen_at` lets time stand still until `advance`.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        frozen_at: int | None = None,
        key: str = "sk_test_offline",
        webhook_secret: str = "whsec_offline",  # noqa: S107
    ) -> None:
        self.folder = folder
        self.key = key
        self.webhook_secret = webhook_secret
        self._port = port
        self._frozen_at = frozen_at
        self._running: Running | None = None
        self._thread: threading.Thread | None = None
        self._person = httpx.Client(timeout=30, trust_env=False)

    def start(self) -> Self:
        """Listen and answer. Comes back when the first call would be answered."""
        self._running = Running(
            folder=self.folder, frozen_at=self._frozen_at, key=self.key, listener=listener(self._port)
        )
        self._thread = threading.Thread(target=self._running.serve, name="fakestripe", daemon=True)
        self._thread.start()
        # A second start answers at the same address, as a restarted server does.
        self._port = self._running.listener.getsockname()[1]
        while not self._running.server.started:
            if not self._thread.is_alive():
                raise RuntimeError("The offline Stripe did not start.")
            time.sleep(0.002)
        return self

    def stop(self) -> None:
        """Finish and let go of the port and the file."""
        if self._running is not None and self._thread is not None:
            self._running.server.should_exit = True
            self._thread.join(timeout=30)
            self._running = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._person.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, wrong: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def running(self) -> Running:
        """The parts of the server, for who must look inside."""
        if self._running is None:
            raise RuntimeError("The offline Stripe is not started.")
        return self._running

    @property
    def url(self) -> str:
        """What `base_addresses={"api": …}` wants."""
        return self.running.world.base_url

    @property
    def now(self) -> int:
        """The fake's time."""
        return self.running.world.now

    def add_endpoint(self, url: str, *, events: list[str] | None = None, secret: str | None = None) -> Obj:
        """Let events be posted to this address, signed with `webhook_secret` or the given one."""
        world = self.running.world
        with world.lock:
            endpoint = endpoints.enter(world, url, secret=secret or self.webhook_secret, events=events)
            world.flush()
        return public(endpoint)

    def advance(self, **span: float) -> int:
        """Move the clock by `days=`, `hours=`, … through everything due. Answers how many things were done."""
        world = self.running.world
        return world.advance_to(world.now + int(timedelta(**span).total_seconds()))

    def advance_to(self, at: int) -> int:
        """Move the clock to this moment through everything due."""
        return self.running.world.advance_to(at)

    def settings(self, **values: Any) -> None:
        """Change the account's settings."""
        world = self.running.world
        with world.lock:
            world.change_settings(values)
            world.flush()

    def faults(self, **wanted: Any) -> None:
        """Turn the knobs, with the words of `POST /_fake/faults`; `clear=True` makes all well."""
        self.running.faults.set(wanted)
        self.running.postman.nudge()

    def settle(self, deadline: float = 30.0) -> None:
        """Wait until every event that is due was posted."""
        if not self.running.postman.settle(deadline):
            raise TimeoutError("Events are still being posted.")

    def release(self, order: list[str] | None = None) -> int:
        """Post what was held, in this order of event ids."""
        return self.running.postman.release(order)

    def deliver(self, event_id: str, url: str, secret: str | None = None) -> int:
        """Post one event once more, wherever. Answers the status."""
        return self.running.postman.resend(event_id, url, secret or self.webhook_secret)

    def events(self, *types: str) -> list[Obj]:
        """Every event, oldest first; only these types if any are named."""
        world = self.running.world
        with world.lock:
            return [public(event) for event in world.store.all("event") if not types or event["type"] in types]

    def objects(self, kind: str) -> list[Obj]:
        """Every object of a kind, oldest first."""
        world = self.running.world
        with world.lock:
            return [public(obj) for obj in world.store.all(kind)]

    def tamper(self, key: str, **fields: Any) -> None:
        """Change an object without telling anybody."""
        world = self.running.world
        with world.lock:
            obj = world.store.objects[key]
            obj.update(fields)
            world.store.put(obj)
            world.flush()

    def forget(self, key: str) -> None:
        """Remove an object without telling anybody."""
        world = self.running.world
        with world.lock:
            world.store.remove(key)
            world.flush()

    def dispute(self, charge: str, **how: Any) -> Obj:
        """Open a dispute by hand: `reason=`, `inquiry=True`, `amount=`."""
        answer = self._person.post(f"{self.url}/_fake/disputes", json={"charge": charge, **how})
        answer.raise_for_status()
        made: Obj = answer.json()
        return made

    def move_dispute(self, key: str, to: str | None = None, *, reinstate: int | None = None) -> Obj:
        """Let the bank move on: `to` a status, or give part of a lost one back."""
        wanted: Obj = {"to": to} if reinstate is None else {"reinstate": reinstate}
        answer = self._person.post(f"{self.url}/_fake/disputes/{key}", json=wanted)
        answer.raise_for_status()
        moved: Obj = answer.json()
        return moved

    def pay(
        self,
        session: str,
        card: str = CARD,
        *,
        promotion_code: str | None = None,
        email: str = "buyer@example.com",
        name: str = "A Buyer",
        authenticate: bool = True,
    ) -> str:
        """Do in the hosted page what a person does. `session` is its id or its address.

        Answers the address to which the person is sent. Raises Declined with the page's sentence.
        With a card that asks, the bank's page is answered with `authenticate`.
        """
        url = session if session.startswith("http") else f"{self.url}/c/pay/{session}"
        form = {"act": "pay", "email": email, "name": name, "number": card, "expiry": "12 / 34", "cvc": "123"}
        if promotion_code:
            form["promotion_code"] = promotion_code
        return self._onward(self._person.post(url, data=form), authenticate)

    def pay_invoice(self, url: str, card: str = CARD, *, authenticate: bool = True) -> str:
        """Pay an open invoice in its hosted page; answers where the person ends."""
        form = {"name": "A Buyer", "number": card, "expiry": "12 / 34", "cvc": "123"}
        return self._onward(self._person.post(url, data=form), authenticate)

    def _onward(self, answer: httpx.Response, authenticate: bool) -> str:
        if answer.status_code == 303:
            onward = urljoin(str(answer.url), answer.headers["location"])
            if "/3ds/" in onward:
                form = {"answer": "complete" if authenticate else "fail"}
                return self._onward(self._person.post(onward, data=form), authenticate)
            return onward
        raise Declined(_sentence(answer.text))


def _sentence(page: str) -> str:
    found: Sequence[str] = re.findall(r'role="alert">([^<]*)<', page) or re.findall(r"<p>([^<]*)</p>", page)
    return found[0].replace("&#39;", "'") if found else "The page gave no reason."
