"""What a person refused asks when something like it comes again, by the real CLIP; and no more once it was forgiven."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone
from PIL import Image

from journal.transactions import step
from moderation import refusals
from moderation.actions import claim_next, decide
from moderation.actions.known import forgive
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.clip import Clip
from moderation.classifiers.fake import FakePictureClassifier
from moderation.models import Case, Embedding, Sample
from moderation.policy import LIKE_REFUSED
from moderation.provenance.hashes import NEAR
from moderation.provenance.pdq import pdq
from moderation.rescan import rescan
from moderation.rules import policies
from moderation.screening.worker import screen_waiting
from moderation.signals import MachineryFault, Signal
from tests.moderation.conftest import Moderators, Recorder
from tests.moderation.sieves import marked
from tests.moderation.test_known import medium, scene
from tests.moderation.test_screening import last


class Likeness(Clip):
    """The house CLIP, of which only that is heard."""

    def screen(self, pictures: Sequence[Image.Image]) -> list[list[Signal]]:
        return [[one for one in row if one.name == LIKE_REFUSED] for row in super().screen(pictures)]


class Others(FakePictureClassifier):
    """What every other classifier says, which sees nothing."""

    def screen(self, pictures: Sequence[Image.Image]) -> list[list[Signal]]:
        return [[one for one in row if one.name != LIKE_REFUSED] for row in super().screen(pictures)]


@pytest.fixture(scope="module")
def clip() -> Clip:
    made = Likeness(settings.WEIGHTS / "house-clip", policies(), refusals.of)
    made.load()
    return made


@pytest.fixture
def armoury(clip: Clip) -> Iterator[Armoury]:
    refusals._kept.clear()
    yield Armoury([clip, Others(policies())], policies())
    refusals._kept.clear()


def tilted(image: Image.Image) -> Image.Image:
    """Turned so far that its hash is lost."""
    ground = tuple(int(part) for part in np.asarray(image)[0, 0])
    turned = image.rotate(3, Image.Resampling.BICUBIC, fillcolor=ground)
    assert (int(pdq(image).digits, 16) ^ int(pdq(turned).digits, 16)).bit_count() > NEAR
    return turned


def screened(armoury: Armoury, case: Case) -> Case:
    screen_waiting(armoury, "tests")
    case.refresh_from_db()
    return case


def refuse(armoury: Armoury, people: Moderators, image: Image.Image) -> Case:
    """A picture that was held, and that a person refused."""
    case = screened(armoury, medium(people.alice, marked(image, "review")))
    assert claim_next(people.bob) == case
    decide(case, moderator=people.bob, to="refused", reason="a weapon", policy_code="weapon")
    return case


def test_a_changed_copy_asks_until_the_refusal_is_forgiven(
    people: Moderators, outcome: Recorder, armoury: Armoury
) -> None:
    before = screened(armoury, medium(people.carol, tilted(scene(1))))
    assert before.state == "cleared"
    case = refuse(armoury, people, scene(1))
    assert screened(armoury, medium(people.carol, scene(0))).state == "cleared"
    again = screened(armoury, medium(people.carol, tilted(scene(1))))
    assert again.state == "in_review"
    assert f"like case {case.pk}, refused under weapon" in again.findings[0]["sentence"]
    with step("tests.forgive"):
        forgive(case, last(case))
    assert screened(armoury, medium(people.carol, tilted(scene(1)))).state == "cleared"


def test_what_is_out_already_is_asked_about_by_its_stored_vector(
    people: Moderators, outcome: Recorder, armoury: Armoury
) -> None:
    out = screened(armoury, medium(people.carol, tilted(scene(1))))
    refuse(armoury, people, scene(1))
    tally = rescan(lambda: armoury, policy="known.picture")
    assert (tally.looked, tally.files, tally.asked) == (1, 0, 1)
    assert Sample.objects.get().case == out


def test_each_process_reads_what_is_new_and_no_more(
    people: Moderators, outcome: Recorder, armoury: Armoury, clip: Clip, django_assert_num_queries: Any
) -> None:
    for place in range(3):
        refuse(armoury, people, scene(place))
    assert len(refusals.of(clip.name, clip.version)) == 3
    assert len(refusals.of(clip.name, "another version")) == 0
    with django_assert_num_queries(3):
        table = refusals.of(clip.name, clip.version)
    assert refusals.of(clip.name, clip.version) is table
    refusals._kept[clip.name, clip.version].read_at = timezone.now() + timedelta(hours=1)
    with django_assert_num_queries(1):
        assert refusals.of(clip.name, clip.version) is table
    refusals._kept.clear()
    assert len(refusals.of(clip.name, clip.version)) == 3


def test_where_it_cannot_be_read_nothing_is_cleared(
    fresh_people: Moderators, outcome: Recorder, armoury: Armoury, as_owner: Any
) -> None:
    refuse(armoury, fresh_people, scene(0))
    case = medium(fresh_people.alice, scene(1))
    as_owner.execute("ALTER TABLE moderation_embedding RENAME TO gone")
    assert screened(armoury, case).state == "pending"
    with pytest.raises(MachineryFault, match="what was refused cannot be read"):
        refusals.of("house-clip", "1")
    as_owner.execute("ALTER TABLE gone RENAME TO moderation_embedding")
    Case.objects.update(retry_at=None)
    assert screened(armoury, case).state == "cleared"


def test_a_vector_is_kept_once_and_stays(people: Moderators, outcome: Recorder, armoury: Armoury, clip: Clip) -> None:
    case = screened(armoury, medium(people.carol, scene(1)))
    kept = Embedding.objects.get(case=case)
    assert (kept.model, kept.version, len(kept.vector)) == (clip.name, clip.version, 256)
    for change in (lambda: kept.delete(), lambda: Embedding.objects.update(vector=b"x")):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
