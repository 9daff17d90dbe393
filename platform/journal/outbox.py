"""Wake-ups that commit together with the work they announce."""

from celery import Celery
from django.db import connection

from journal.failpoints import failpoint
from journal.models import Wakeup
from journal.transactions import require_transaction, step

# Each topic wakes one task of the same queue. The message carries no id: the database is the truth.
TASKS = {"draw": "generation.draw", "screen": "moderation.screen"}

# More messages than workers would only be found empty-handed.
MOST_PER_TOPIC = 16

# A pooled connection may be stale; one fresh try tells whether the broker is really away.
ONE_RECONNECT = {"max_retries": 1, "interval_start": 0, "interval_step": 0}


def wake(topic: str) -> None:
    """Ask for a worker of `topic`, once this transaction has committed."""
    require_transaction()
    if topic not in TASKS:
        raise ValueError(f"Unknown topic {topic!r}; known are {', '.join(TASKS)}.")
    Wakeup.objects.create(topic=topic)
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY vaglio_outbox")


def publish(celery: Celery) -> int:
    """Send the wake-ups that wait, then forget them. Returns how many were taken.

    Dying between the publish and the commit sends them once more, which is harmless. A broker that is down
    raises, the transaction rolls back, and the rows wait.
    """
    with step("outbox.publish"):
        waiting = list(
            Wakeup.objects.select_for_update(skip_locked=True).order_by("pk").values_list("pk", "topic")[:1000]
        )
        if not waiting:
            return 0
        for topic in TASKS:
            count = sum(1 for _, name in waiting if name == topic)
            for _ in range(min(count, MOST_PER_TOPIC)):
                failpoint("outbox.before_publish")
                celery.send_task(TASKS[topic], queue=topic, ignore_result=True, retry=True, retry_policy=ONE_RECONNECT)
                failpoint("outbox.after_publish")
        Wakeup.objects.filter(pk__in=[pk for pk, _ in waiting]).delete()
    return len(waiting)
