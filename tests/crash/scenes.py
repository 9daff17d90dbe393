"""What the processes do, as scenes that a child plays until it is killed. Each can be played again from anywhere."""

from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from accounts.models import User
from billing import allowances, ledger
from billing import sweep as billing_sweep
from generation import sweep as generation_sweep
from generation.actions import drawing as drawing_verbs
from generation.actions import jobs
from generation.actions.inputs import bring
from generation.engine.fake import FakeEngine
from generation.models import Job, Turn
from generation.turns import Affinity, claim
from journal.seal import HeadFile, seal_new_lines
from journal.transactions import step
from moderation import sweep as moderation_sweep
from moderation.actions import (
    CannotRelease,
    CaseTaken,
    claim_next,
    decide,
    inquiries,
    known,
    lift,
    look_again,
    registry,
    withdraw,
)
from moderation.actions.samples import waiting
from moderation.models import (
    BlockedPicture,
    Case,
    Descriptor,
    Freeze,
    Inquiry,
    ReferencePicture,
    Sample,
    SecondLook,
    Upload,
)
from moderation.screening import leases
from moderation.screening.inquiries import answer_one
from moderation.screening.references import describe_one
from tests import path
from tests.moderation.registered import portrait
from tests.uploads.files import drawing, saved

ORDERS = {
    "one": ("alice", "a red apple on blue"),
    "two": ("carol", "a green pear on white"),
    "three": ("alice", "fault:nan a ghost"),
    "four": ("carol", "verdict:review a doubtful apple"),
    "five": ("carol", "verdict:block a forbidden apple"),
    "six": ("alice", "a boat on yellow"),
}


def person(name: str) -> User:
    return User.objects.get(email=f"{name}@example.org")


def order_everything() -> None:
    """Orders carry idempotency keys, as a client that lost an answer would send them again."""
    for key, (name, prompt) in ORDERS.items():
        job = path.submit(person(name), prompt, key=key, n=2 if key == "one" else 1)
        if key == "six":
            jobs.cancel(job, actor=job.person)


def decide_reviews() -> None:
    """Bob clears whatever waits for him, and refuses what was never screened and so has no file for release."""
    while case := claim_next(person("bob")):
        try:
            decide(case, moderator=person("bob"), to="cleared", policy_code="", reason="it is an apple")
        except CannotRelease:
            decide(case, moderator=person("bob"), to="refused", policy_code="", reason="nobody could look at it")


def main_path() -> None:
    """Order, relay, screen, draw, screen, decide, seal."""
    order_everything()
    path.work(relay=True)
    decide_reviews()
    path.sweep()
    path.work()
    seal_new_lines(HeadFile(settings.AUDIT_HEAD_FILE))


def lost_draw() -> None:
    """A worker claimed a batch and fell silent; the sweeper brings it back."""
    order_everything()
    path.work_prompts()
    claim(worker="silent", affinity=Affinity(), batch_sizes={"fake": 8})
    Job.objects.filter(state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
    generation_sweep.recover_lost_leases()
    main_path()


class BrokenEngine(FakeEngine):
    """An engine whose weights cannot be loaded."""

    def draw(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the weights cannot be loaded")


def broken_engine() -> None:
    """The engine fails as a whole: jobs go back, to be tried alone."""
    order_everything()
    path.work_prompts()
    if batch := claim(worker="broken", affinity=Affinity(), batch_sizes={"fake": 8}):
        drawing_verbs.draw(batch, BrokenEngine())
    main_path()


def model_withdrawn() -> None:
    """The catalogue no longer offers what a job asks for."""
    job = path.submit(person("alice"), "a red apple on blue", key="one", n=2)
    path.work_prompts()
    Job.objects.filter(pk=job.pk).update(model="gone", queued_at=timezone.now() - timedelta(hours=1))
    Turn.objects.filter(next_job=job).update(next_model="gone")
    generation_sweep.fail_unoffered()
    main_path()


def lost_screening() -> None:
    """A screening process fell silent, three times over the same case."""
    order_everything()
    for _ in range(settings.MOST_ATTEMPTS):
        leases.claim("silent")
        Case.objects.filter(lease_token__isnull=False).update(lease_until=timezone.now() - timedelta(seconds=1))
        moderation_sweep.recover_lost_leases()
    main_path()


def slow_screening() -> None:
    """The classifiers take longer than a lease lasts."""
    order_everything()
    if batch := leases.claim("slow"):
        leases.renew(batch.token)
        for case in batch.cases:
            leases.put_back(case, batch.token, counted=True)
    main_path()


def broken_screening() -> None:
    """A picture that the classifiers choke on, until a person is asked."""
    path.submit(person("alice"), "verdict:crash a broken apple", key="broken")
    for _ in range(settings.MOST_ATTEMPTS):
        Case.objects.filter(retry_at__isnull=False, lease_token__isnull=True).update(retry_at=None)
        path.work()
    main_path()


def lost_wakeups() -> None:
    """The broker forgot every message; the sweeper rings again."""
    order_everything()
    path.forget_wakeups()
    moderation_sweep.wake_if_waiting()
    path.work_prompts()
    path.forget_wakeups()
    generation_sweep.wake_if_waiting()
    main_path()


def severe() -> None:
    """A severe block freezes; a senior moderator looks and lifts; something released is withdrawn."""
    path.submit(person("carol"), "verdict:severe the worst", key="severe")
    main_path()
    for freeze in Freeze.objects.filter(lifted_at__isnull=True):
        lift(freeze, moderator=person("sofia"), reason="a false alarm")
    main_path()
    released = Case.objects.filter(subject="medium", state="cleared").order_by("pk").first()
    if released and not Case.objects.filter(state="withdrawn", decisions__actor_kind="moderator").exists():
        try:
            withdraw(released, moderator=person("sofia"), reason="it is no apple", policy_code="")
        except CaseTaken as error:
            raise AssertionError("nobody else works here") from error


def looked_again() -> None:
    """Chance draws everything that is released; Bob finds that one of it breaks a policy."""
    with override_settings(AUDIT_SHARE=1, NEAR_MISS_SHARE=1):
        main_path()
    if not SecondLook.objects.exists() and (sample := waiting(person("bob")).first()):
        look_again(sample, moderator=person("bob"), policy_code="fake.review", reason="it is no apple")
    assert SecondLook.objects.exists()


def brought() -> None:
    """Carol brings a picture that is drawn over, and a file that is none; what was brought ends with its term."""
    for name, data in (("good", saved(drawing())), ("bad", b"no picture")):
        kept = bring(person("carol"), ContentFile(data), mode="image_to_image", name="picture")
        path.submit(person("carol"), "a pear", key=name, mode="image_to_image", picture=str(kept.pk))
    main_path()
    moderation_sweep.forget_raw_uploads()
    moderation_sweep.erase_uploads()
    assert not Upload.objects.exclude(raw_key="").exists(), "a file is kept as it was brought"


def asked_about() -> None:
    """Somebody asks whether a file came from here; a day later nothing of it is kept."""
    asked = Inquiry.objects.first() or inquiries.ask(ContentFile(b"some file"), person=None, address="")
    main_path()
    while answer_one(path.armoury()):
        pass
    Inquiry.objects.filter(state="waiting").update(lease_until=timezone.now() - timedelta(seconds=1))
    while answer_one(path.armoury()):
        pass
    asked.refresh_from_db()
    assert asked.state != "waiting", "nobody answered"
    moderation_sweep.forget_inquiries()


def judged() -> None:
    """Somebody has a text and a picture judged."""
    asked = Inquiry.objects.first() or inquiries.ask_moderation(person("carol"), ["a pear", saved(drawing())])
    assert asked.kind == Inquiry.Kind.MODERATION
    while answer_one(path.armoury()):
        pass
    asked.refresh_from_db()
    assert asked.state == "answered"


def protected() -> None:
    """Sofia protects Maria, brings a picture of her and one of nobody, and ends the entry; keys are turned over."""
    facts = registry.Facts(kind="person", name="Maria Rossi", basis="own", document="her letter")
    entry = registry.add(facts, keeper=person("sofia"))
    for data in (portrait((10, 20)), saved(drawing())):
        registry.bring(entry, ContentFile(data), keeper=person("sofia"))
    ReferencePicture.objects.filter(state="waiting").update(lease_until=timezone.now() - timedelta(seconds=1))
    while describe_one(path.armoury()):
        pass
    registry.rekey()
    registry.erase_expired()
    registry.end(entry, keeper=person("sofia"), why="opt_out", note="she wants it no longer")
    registry.forget_references()
    assert not ReferencePicture.objects.filter(state="waiting").exists(), "a picture waits for ever"
    assert not ReferencePicture.objects.exclude(file_key="").exists(), "a picture of a protected person is kept"
    assert not Descriptor.objects.kept().filter(template__entry=entry).exists(), "a face outlasts its entry"


def listed() -> None:
    """An operator puts a hash on a list and takes it off; whoever is killed at that runs the command again."""
    order_everything()
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("a5c3" * 16)
        file.flush()
        if not BlockedPicture.objects.exists():
            call_command("blocklist", "import", file.name, source="exchange", policy="weapon", stdout=StringIO())
        call_command("blocklist", "retire", source="exchange", reason="a mistake", stdout=StringIO())
    assert not BlockedPicture.objects.standing().exists()
    assert BlockedPicture.objects.count() == 1
    main_path()


def scanned_again() -> None:
    """A list names what is out: a moderator is asked, once, however often the command is run."""
    main_path()
    call_command("rescan", stdout=StringIO(), stderr=StringIO())
    if not BlockedPicture.objects.exists():
        case = (
            Case.objects.filter(subject="medium", state="cleared").exclude(derivative_traces=[]).order_by("pk").first()
        )
        assert case is not None
        known.import_list(
            {case.derivative_traces[0][1]: ""}, source="exchange", policy_code="weapon", file_sha256="", by="tests"
        )
    call_command("rescan", stdout=StringIO(), stderr=StringIO())
    asked = Sample.objects.filter(stratum="rescan")
    assert asked.exists()
    assert asked.count() == asked.values("case").distinct().count()


def months_pass() -> None:
    """A monthly grant falls due, and an old lot expires."""
    wallet = ledger.wallet_of(person("bruno"))
    with step("tests.allow"):
        allowance = allowances.allow_monthly(wallet, 15, since=date(2026, 1, 31))
        type(allowance).objects.filter(pk=allowance.pk).update(due_at=timezone.now() - timedelta(days=1))
        ledger.grant(
            wallet,
            7,
            source="promotion",
            key="tests:old",
            effective_at=timezone.now() - timedelta(days=2),
            expires_at=timezone.now() - timedelta(days=1),
            reason="from last month",
        )
    billing_sweep.expire_lots()
    billing_sweep.grant_monthly()
    main_path()


def first_wallet() -> None:
    """Somebody's wallet is opened by their first visit."""
    ledger.wallet_of(person("olga"))
    main_path()


# Which scene reaches a place, by how the place begins. The longest beginning wins.
SCENES: dict[str, Callable[[], None]] = {
    "": main_path,
    "sweep.recover": lost_draw,
    "draw.give_back": broken_engine,
    "sweep.unoffered": model_withdrawn,
    "screen.put_back": lost_screening,
    "sweep.unscreened": lost_screening,
    "screen.fault": broken_screening,
    "screen.renew": slow_screening,
    "sweep.wake_screen": lost_wakeups,
    "sweep.wake_draw": lost_wakeups,
    "moderation.lift": severe,
    "moderation.withdraw": severe,
    "samples.": looked_again,
    "moderation.take": brought,
    "moderation.erase": brought,
    "screen.decoded": brought,
    "upload.": brought,
    "verify.": asked_about,
    "moderations.": judged,
    "registry.": protected,
    "reference.": protected,
    "blocklist.": listed,
    "rescan.": scanned_again,
    "sweep.expire": months_pass,
    "sweep.grant_monthly": months_pass,
    "wallet.open": first_wallet,
}


def reaching(place: str) -> Callable[[], None]:
    """The scene that comes past a place."""
    return SCENES[max((start for start in SCENES if place.startswith(start)), key=len)]


def to_the_end() -> None:
    """What a restarted Vaglio does: clients ask again, leases end, sweepers sweep, until every job is final."""
    order_everything()

    def ended() -> bool:
        path.sweep()
        Case.objects.filter(retry_at__isnull=False, lease_token__isnull=True).update(retry_at=None)
        for freeze in Freeze.objects.filter(lifted_at__isnull=True):
            lift(freeze, moderator=person("sofia"), reason="a false alarm")
        path.work()
        decide_reviews()
        return not Job.objects.open().exists()

    path.until(ended, seconds=40, what="the end of every job")
    assert not Turn.objects.filter(next_job__isnull=False).exists(), "the line points at jobs that are final"
