"""The wake-up for screening. It carries no id: what to screen is claimed in the database."""

from celery import shared_task

from journal.beats import process_name


@shared_task(name="moderation.screen", acks_late=True)  # type: ignore[untyped-decorator]
def screen() -> None:
    """Screen whatever waits, then answer who asks and describe faces, one at a time. Safe to deliver twice or never."""
    # Drawing workers import this module too, and have no classifiers.
    from moderation.arming import armoury
    from moderation.screening.inquiries import answer_one
    from moderation.screening.references import describe_one
    from moderation.screening.worker import screen_waiting

    armed, name = armoury(), process_name("screen")
    screen_waiting(armed, name)
    while answer_one(armed) or describe_one(armed):
        screen_waiting(armed, name)
