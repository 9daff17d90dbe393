import logging
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection

from billing import sweep as billing
from generation import sweep as generation
from journal.beats import beat_in_background, forget_dead
from journal.heads import HeadFile
from journal.idempotency import forget_old
from journal.seal import seal_new_lines
from moderation import sweep as moderation
from moderation.actions import registry

log = logging.getLogger("sweep")


def seal() -> int:
    """Chain what was written since the last turn."""
    return seal_new_lines(HeadFile(settings.AUDIT_HEAD_FILE))


class Command(BaseCommand):
    """Bring back what was lost: leases, wake-ups, stranded holds; and seal the audit. Any number may run."""

    help = __doc__ or ""

    EACH_TURN: tuple[Callable[[], object], ...] = (
        generation.recover_lost_leases,
        moderation.recover_lost_leases,
        generation.wake_if_waiting,
        moderation.wake_if_waiting,
        moderation.refuse_overdue,
        moderation.forget_raw_uploads,
        registry.forget_references,
        generation.fail_unoffered,
        seal,
    )
    EACH_HOUR: tuple[Callable[[], object], ...] = (
        billing.expire_lots,
        billing.grant_monthly,
        billing.report_stranded_holds,
        moderation.erase_uploads,
        moderation.forget_inquiries,
        registry.forget_unnamed_references,
        registry.erase_expired,
        forget_old,
        forget_dead,
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one turn of everything, then stop")

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, self.stop)
        if options["once"]:
            self.turn(self.EACH_TURN)
            self.turn(self.EACH_HOUR)
            return
        beat_in_background("sweep")
        # Beside the turns: on the first of a month it may take long, and leases and seals cannot wait for it.
        threading.Thread(target=self.hours, name="hours", daemon=True).start()
        try:
            while True:
                self.turn(self.EACH_TURN)
                select.select([], [], [], settings.SWEEP_SECONDS)
        except KeyboardInterrupt:
            return

    def hours(self) -> None:
        """Do the chores of each hour, until the process ends; what it was at then rolls back."""
        while True:
            self.turn(self.EACH_HOUR)
            connection.close()
            select.select([], [], [], 3600)

    @staticmethod
    def turn(chores: tuple[Callable[[], object], ...]) -> None:
        """Do each chore; one that fails is said and does not keep the others from their work."""
        for chore in chores:
            try:
                done = chore()
            except Exception:
                log.exception("%s failed; it is tried again at the next turn", chore.__name__)
                connection.close()
            else:
                if done:
                    log.info("%s: %s", chore.__name__, done)

    @staticmethod
    def stop(*_: object) -> None:
        raise KeyboardInterrupt
