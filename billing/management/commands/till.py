import logging
import signal
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from billing.console.acts import carry_out_granted
from billing.console.tallies import count_days
from billing.sale import events, notices, reconcile, till
from billing.sale.prices import bring_prices
from journal.beats import beat_in_background

log = logging.getLogger("till")


def mend_differences() -> int:
    """Compare Stripe with the ledger and mend what can be mended."""
    return reconcile.reconcile(mend=True)[1]


class Command(BaseCommand):
    """Work on Stripe's events as they come, fetch those that were lost, compare, count the console's figures, and send
    letters. Any number may run.

    `till prices` brings Stripe in line with plans.toml; `till reconcile [--mend]` lists each difference between Stripe
    and the ledger and fails if there is any; `till backfill` fetches events that did not reach us; `till retry` takes
    up what was given up; `till count` brings the console's figures up to date.
    """

    help = __doc__ or ""

    # A notification may be lost; and letters wait no longer than this.
    IDLE_SECONDS = 5.0
    HOUR = 3600.0
    # The console's figures are counted again after so long, or after twenty times as long as it took: a shop that is
    # large enough for it to take seconds gets them later, and not a till that only counts.
    COUNT_SECONDS = 30.0
    COUNT_SHARE = 20

    EACH_TURN: tuple[Callable[[], object], ...] = (events.work, carry_out_granted, notices.send_waiting)
    EACH_HOUR: tuple[Callable[[], object], ...] = (bring_prices, events.backfill, mend_differences, notices.find_due)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "what", nargs="?", default="run", choices=["run", "prices", "reconcile", "backfill", "retry", "count"]
        )
        parser.add_argument("--mend", action="store_true", help="do what each remedy says, where it can be done")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "run":
            self.run()
            return
        try:
            getattr(self, options["what"])(**options)
        except (till.StripeAway, till.StripeRefused, till.NoStripe) as error:
            raise CommandError(f"{error} {getattr(error, 'why', '')}".strip()) from error

    def prices(self, **options: Any) -> None:
        for price in bring_prices():
            self.stdout.write(f"{price.offer} {price.interval}: {price.stripe_price}")

    def backfill(self, **options: Any) -> None:
        self.stdout.write(f"{events.backfill()} events had not reached us.")

    def retry(self, **options: Any) -> None:
        self.stdout.write(f"{events.retry_failed()} events are taken up again.")

    def count(self, **options: Any) -> None:
        self.stdout.write(f"{count_days()} days were counted.")

    def reconcile(self, *, mend: bool, **options: Any) -> None:
        found, mended = reconcile.reconcile(mend=mend)
        for difference in found:
            self.stdout.write(f"{difference.kind} {difference.about}: {difference.what}\n    {difference.remedy}")
        if len(found) > mended:
            raise CommandError(f"{len(found) - mended} differences between Stripe and the ledger.")
        self.stdout.write(f"Stripe and the ledger agree{f', after {mended} were mended' if mended else ''}.")

    def run(self) -> None:
        """Until the process is asked to stop. What was being worked on is taken up again by whoever comes next."""
        signal.signal(signal.SIGTERM, self.stop)
        beat_in_background("till")
        again = count_again = 0.0
        try:
            while True:
                self.turn(self.EACH_TURN)
                if time.monotonic() >= count_again:
                    began = time.monotonic()
                    self.turn((count_days,))
                    took = time.monotonic() - began
                    count_again = began + max(self.COUNT_SECONDS, self.COUNT_SHARE * took)
                if till.is_open() and time.monotonic() >= again:
                    self.turn(self.EACH_HOUR)
                    again = time.monotonic() + self.HOUR
                self.wait()
        except KeyboardInterrupt:
            return

    def turn(self, chores: tuple[Callable[[], object], ...]) -> None:
        """Do each chore; one that fails is said and does not keep the others from their work."""
        for chore in chores:
            try:
                if done := chore():
                    log.info("%s: %s", chore.__name__, done)
            except till.StripeAway as error:
                log.warning("%s waits for Stripe: %s", chore.__name__, error.why)
            except Exception:
                log.exception("%s failed; it is tried again at the next turn", chore.__name__)
                connection.close()

    def wait(self) -> None:
        """Sleep until an event is kept, or for a moment."""
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {events.CHANNEL}")
            raw = connection.connection
            assert raw is not None
            for _ in raw.notifies(timeout=self.IDLE_SECONDS, stop_after=1):
                pass
        except Exception:
            log.exception("the till lost its database; trying again")
            connection.close()
            time.sleep(1)

    @staticmethod
    def stop(*_: object) -> None:
        raise KeyboardInterrupt
