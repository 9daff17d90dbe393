"""10,000 events of Stripe's, each delivered three times in any order.

Targets: 200 deliveries/s kept, 50 events/s worked on, and the ledger the same.

The events are of real purchases at the offline Stripe, some refunded, some disputed. Deliveries go through a real web
process. What they lead to is compared with the ledger after each event once and in order.
"""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.world import ROOT, world

EVENTS = 10_000
TIMES = 3
PEOPLE = 200
CLIENTS = 4
GOOD, DISPUTED = "4242424242424242", "4000000000000259"
KEY, SECRET = "sk_test_bench", "whsec_bench"  # nothing real


def listening() -> tuple[socket.socket, int]:
    """A socket of the loopback that a process can inherit, and its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    return listener, int(listener.getsockname()[1])


def program(command: list[str], listener: socket.socket, stack: ExitStack, **env: str) -> None:
    """Run a program until the stack ends."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"} | env,
        pass_fds=[listener.fileno()],
        stderr=subprocess.DEVNULL,
    )
    stack.callback(lambda: (process.terminate(), process.wait(20)))


def trade(fake: Any) -> None:
    """People buy top-ups until Stripe has told enough; every tenth is refunded, every twentieth disputed."""
    from accounts.models import User
    from billing.sale import checkout, till
    from billing.sale.plans import price_of

    people = User.objects.bulk_create(User(email=f"p{n}@bench.example", password="!") for n in range(PEOPLE))
    price = price_of("pack-500", "once")
    assert price is not None
    v1 = till.client().v1
    number = told = 0
    while told < EVENTS:
        visit = checkout.begin(people[number % PEOPLE], price, key=f"bench-{number:06}")
        number += 1
        fake.pay(visit.url, DISPUTED if number % 20 == 0 else GOOD)
        if number % 10 == 5:
            session = v1.checkout.sessions.retrieve(visit.stripe_id or "")
            v1.refunds.create({"payment_intent": str(session.payment_intent), "amount": 450})
        if number % 50 == 0:
            told = count_events()


def count_events() -> int:
    return len(all_events(ids_only=True))


def all_events(*, ids_only: bool = False) -> list[Any]:
    """What Stripe has told, oldest first."""
    from billing.sale import till

    found = till.fetch(lambda c: list(c.v1.events.list({"limit": 100}).auto_paging_iter()))
    return [event.id if ids_only else json.loads(str(event)) for event in reversed(found)]


def deliver(letters: list[bytes], port: int) -> float:
    """Post every letter from a few clients at once; seconds it took."""
    import stripe

    def post(own: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for letter in own:
            signature = stripe.WebhookSignature.generate_signature_header(letter.decode(), SECRET)
            headers = {"Stripe-Signature": signature, "Content-Type": "application/json", "Host": "testserver"}
            connection.request("POST", "/stripe/events/", letter, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status

    threads = [threading.Thread(target=post, args=[letters[n::CLIENTS]]) for n in range(CLIENTS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def ledger() -> list[tuple[Any, ...]]:
    """What everybody has, by lot and by purchase, in words that do not depend on the order of rows."""
    from billing.models import Account, Lot, Payment
    from billing.reversals import taken_of

    lots = Lot.objects.values_list("wallet__person__email", "key", "granted", "remaining", "held").order_by("key")
    debts = Account.objects.filter(kind="owed").values_list("balance").order_by("balance")
    taken = [(payment.key, taken_of(payment).total) for payment in Payment.objects.order_by("key")]
    return [*lots, *debts, *taken]


def main() -> int:
    with ExitStack() as stack:
        (till_socket, till_port), (web_socket, web_port) = listening(), listening()
        url = f"http://127.0.0.1:{till_port}"
        os.environ |= {
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_API_BASE": url,
            "DATABASE_POOL_SIZE": "12",
        }
        program(["-m", "billing.fakestripe", "--fd", str(till_socket.fileno()), "--key", KEY], till_socket, stack)
        stack.enter_context(world(durable=True))
        return measure(web_socket, web_port, stack)


def measure(web_socket: socket.socket, web_port: int, stack: ExitStack) -> int:
    from billing.fakestripe import FakeStripe
    from billing.models import Event
    from billing.sale import events
    from billing.sale.prices import bring_prices
    from billing.verify import differences

    bring_prices()
    began = time.perf_counter()
    trade(FakeStripe(key=KEY))
    told = all_events()
    print(f"{len(told):,} events of Stripe's were made in {time.perf_counter() - began:.0f} s")
    expected = in_order(told)
    program(["-m", "local.serve", str(web_socket.fileno())], web_socket, stack)
    dice = random.Random(1)
    letters = [json.dumps(event).encode() for event in told for _ in range(TIMES)]
    dice.shuffle(letters)
    deliver(letters[:1], web_port)  # wakes the process
    seconds = deliver(letters, web_port)
    kept = len(letters) / seconds
    good = kept >= 200
    print(f"{'deliveries kept':<44} {kept:8.0f}/s  {len(letters):,} in {seconds:.0f} s  target 200/s")
    began = time.perf_counter()
    ended = 0
    while done := events.work(most=100_000):
        ended += done
    seconds = time.perf_counter() - began
    rate = ended / seconds
    good &= rate >= 50
    print(f"{'events worked on, one process':<44} {rate:8.0f}/s  {ended:,} in {seconds:.0f} s  target 50/s")
    left = Event.objects.filter(state__in=["waiting", "failed"]).count()
    shuffled = ledger()
    same = shuffled == expected and not left and not list(differences())
    print(
        f"{'the same ledger as once and in order':<44} {'yes' if same else 'NO':>8}   {len(shuffled):,} rows compared"
    )
    return 0 if good and same else 1


def in_order(told: list[Any]) -> list[tuple[Any, ...]]:
    """The ledger after each event was heard once and in order; nothing of it is kept."""
    from django.db import transaction

    from billing.sale import customers, events

    allowed = customers.require_no_transaction
    customers.require_no_transaction = lambda: None
    try:
        with transaction.atomic():
            for event in told:
                events.keep(event)
            while events.work(most=100_000):
                pass
            stands = ledger()
            transaction.set_rollback(True)
    finally:
        customers.require_no_transaction = allowed
    return stands


if __name__ == "__main__":
    sys.exit(main())
