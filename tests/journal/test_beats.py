"""What processes say of themselves is kept for a day after the last word."""

from datetime import timedelta

import pytest
from django.utils import timezone

from config.management.commands.sweep import Command
from journal.beats import forget_dead
from journal.models import ProcessBeat


@pytest.mark.django_db
def test_a_process_that_is_silent_for_a_day_is_forgotten() -> None:
    for name, silent in (("alive", timedelta(0)), ("stale", timedelta(hours=23)), ("dead", timedelta(hours=25))):
        ProcessBeat.beat(name, "draw")
        ProcessBeat.objects.filter(name=name).update(beat_at=timezone.now() - silent)
    assert forget_dead() == 1
    assert set(ProcessBeat.objects.values_list("name", flat=True)) == {"alive", "stale"}


def test_the_sweeper_forgets_them() -> None:
    assert forget_dead in Command.EACH_HOUR
