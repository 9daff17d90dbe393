import logging
import select
import signal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection
from kombu.exceptions import OperationalError as BrokerError

from config.celery import app
from journal.beats import beat_in_background
from journal.outbox import publish

log = logging.getLogger("relay")


class Command(BaseCommand):
    """Send wake-ups to the broker as soon as they are committed. Any number may run; each row is sent by one."""

    help = __doc__ or ""

    # Without a notification the outbox is looked at this often, in case one was lost.
    IDLE_SECONDS = 1.0

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        beat_in_background("relay")
        away = False
        self.running = True
        while self.running:
            try:
                connection.ensure_connection()
                with connection.cursor() as cursor:
                    cursor.execute("LISTEN vaglio_outbox")
                while self.running:
                    try:
                        while publish(app):
                            pass
                        if away:
                            log.info("the broker is back")
                        away = False
                    except (BrokerError, OSError) as error:
                        if not away:
                            log.warning("the broker is away, wake-ups wait in the outbox: %s", error)
                        away = True
                    self.wait()
            except KeyboardInterrupt:
                return
            except Exception:
                log.exception("the relay lost its database; trying again")
                connection.close()
                select.select([], [], [], self.IDLE_SECONDS)

    def wait(self) -> None:
        """Sleep until something is committed to the outbox, or for a moment."""
        raw = connection.connection
        assert raw is not None
        for _ in raw.notifies(timeout=self.IDLE_SECONDS, stop_after=1):
            pass

    def stop(self) -> None:
        self.running = False
        raise KeyboardInterrupt
