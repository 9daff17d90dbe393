"""The Celery application: a wake-up line and nothing more. Jobs live in PostgreSQL."""

import functools
import os
from typing import Any

from celery import Celery
from celery.worker.consumer.consumer import Consumer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class SteadyConsumer(Consumer):  # type: ignore[misc]
    """A consumer that asks for a lost broker every second.

    Celery's own waits grow to half a minute, so that a broker that was away for a minute finds its workers
    asleep long after its return.
    """

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = functools.partial(
            conn.ensure_connection, interval_start=1, interval_step=0, interval_max=1
        )
        return super().ensure_connected(conn)


app = Celery("vaglio")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["generation", "moderation"])
# By name: the classifiers are loaded by the screening worker alone.
app.steps["worker"].add("moderation.arming:Arming")

from config import workers  # noqa: E402, F401  (hooks into the worker's start)
