"""Look again at what is out, by the sieve of today. What it would not release is asked about, and stays out meanwhile.

Judged from what is stored: signals, and the hashes of what was released, which are looked up anew. Files are read where
a signal is missing that a policy asks for now, or where that is ordered. Costs one pass over the cases, some hundred at
a time, and one look-up of a known picture each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from django.db.models import Q

from journal.transactions import step
from moderation import known, refusals
from moderation.actions import withdraw
from moderation.classifiers.armoury import Armoury
from moderation.classifiers.likeness import unpacked
from moderation.models import Case, Decision, Sample, Screening
from moderation.policy import KNOWN, UPLOAD
from moderation.provenance.hashes import Pdq
from moderation.provenance.pdq import turned_digits
from moderation.rules import policies
from moderation.screening import uploads
from moderation.screening.looking import beside, look, required, worst
from moderation.screening.originals import Unfit, Unreadable
from moderation.screening.pictures import read_original
from moderation.screening.records import keep, sentence
from moderation.signals import ItemFault, Signal
from moderation.simulation import stored
from moderation.verdict import Trigger, Verdict, judge

AT_ONCE = 200
WORKER = "rescan"
Kind = Decision.ActorKind


@dataclass
class Tally:
    """How many were looked at, of how many the file too, of how many a person is asked, how many are taken back; and
    the last case, after which one goes on."""

    looked: int = 0
    files: int = 0
    asked: int = 0
    withdrawn: int = 0
    last: int = 0


@dataclass(frozen=True)
class Found:
    """What is said of a case today, and what of it speaks against it. `seen` is false where no file was read."""

    signals: Sequence[Signal]
    verdict: Verdict
    against: tuple[Trigger, ...]
    views: tuple[str, ...] = ()
    seen: bool = False

    @property
    def is_severe_match(self) -> bool:
        """A list names it under a severe policy: it is taken back without waiting for a person."""
        return any(
            one.signal == known.LISTED and one.action == "block" and one.severity >= Case.SEVERE for one in self.against
        )

    @property
    def cause(self) -> str:
        """The same for the same objection: which policies, by which models of which version, near which picture."""
        versions = {one.name: one.version for one in self.signals}
        lines = {
            f"{one.policy_code}|{one.signal}|{one.action}|{versions.get(one.signal, '')}|{one.note.partition(':')[0]}"
            for one in self.against
        }
        return sha256("\n".join(sorted(lines)).encode()).hexdigest()


def rescan(
    arm: Callable[[], Armoury],
    *,
    policy: str = "",
    since: datetime | None = None,
    after: int = 0,
    with_files: bool = False,
    is_dry: bool = False,
    tell: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Look at every released medium and every upload that may be drawn with, from case `after` on.

    `arm` loads the classifiers, once the first file is read. Run again, nobody is asked the same thing twice. Raises
    MachineryFault, and what `arm` raises; what was done until then stays done.
    """
    tally = Tally(last=after)
    armoury: Armoury | None = None
    for cases in _batches(since, after):
        screenings = _last_screenings(cases)
        signals = stored(list(screenings.values()))
        by_people = _released_by_people(cases)
        for case in cases:
            answered = set(case.policy_codes) if case.pk in by_people else set()
            screening = screenings.get(case.pk)
            found = None if with_files else _from_store(case, signals[screening.pk] if screening else [])
            if found is None or any(one.action == "unscreened" for one in _against(found, policy, answered)):
                armoury = armoury or arm()
                found = _from_file(case, armoury)
                tally.files += 1
            found = Found(found.signals, found.verdict, _against(found, policy, answered), found.views, found.seen)
            tally.looked += 1
            _act(case, found, tally, is_dry=is_dry)
            tally.last = case.pk
        tell(tally)
    return tally


def _batches(since: datetime | None, after: int) -> Iterator[list[Case]]:
    usable = Q(subject=Case.Subject.MEDIUM) | Q(subject=Case.Subject.UPLOAD, upload__erased_at__isnull=True)
    cases = (
        Case.objects.filter(usable, state=Case.State.CLEARED)
        .select_related("upload")
        .prefetch_related("embeddings")
        .order_by("pk")
    )
    if since is not None:
        cases = cases.filter(decided_at__gte=since)
    while batch := list(cases.filter(pk__gt=after)[:AT_ONCE]):
        after = batch[-1].pk
        yield batch


def _last_screenings(cases: Sequence[Case]) -> dict[int, Screening]:
    """Of each case the last one that did not fail."""
    found = Screening.objects.filter(case__in=cases, fault="").order_by("case", "-pk").distinct("case")
    return {screening.case_id: screening for screening in found}


def _released_by_people(cases: Sequence[Case]) -> set[int]:
    """Those that a person released, having seen what asked then."""
    people = Decision.objects.filter(
        case__in=cases, to_state=Case.State.CLEARED, actor_kind__in=[Kind.MODERATOR, Kind.APPEAL]
    )
    return set(people.values_list("case_id", flat=True))


def _from_store(case: Case, signals: Sequence[Signal]) -> Found:
    """What the signals of then say under the policies of now; known pictures looked up anew by the stored hashes, and
    what was refused by the stored embeddings."""
    views = [[Pdq(way, quality) for way in turned_digits(digits)] for _, digits, quality in case.derivative_traces]
    table = worst(0, known.signals_of(views)) if views else []
    like = [
        refusals.of(one.model, one.version).signal(unpacked(bytes(one.vector)), one.model, one.version)
        for one in case.embeddings.all()
    ]
    anew = {(one.name, one.model) for one in like}
    said = [*(one for one in signals if one.model != KNOWN and (one.name, one.model) not in anew), *table, *like]
    return _judged(case, said, {one.model for one in said})


def _from_file(case: Case, armoury: Armoury) -> Found:
    """What the classifiers say of its file today. What cannot be read is unscreened, and a person is asked."""
    try:
        original = read_original(case)
        (signals,) = look(armoury, [original])
    except (Unreadable, Unfit, ItemFault) as fault:
        why = fault.why if isinstance(fault, ItemFault) else str(fault)
        unread = Trigger("", "", None, 0.0, "unscreened", 0, f"it cannot be looked at again: {why}")
        return Found([], Verdict("review", (unread,), 0), ())
    (known_of_it,) = beside(armoury, [case])
    found = _judged(case, [*signals, *known_of_it], required(armoury, case.subject))
    return Found(found.signals, found.verdict, (), tuple(view.where for view in original.views), seen=True)


def _judged(case: Case, signals: Sequence[Signal], needed: set[str] | frozenset[str]) -> Found:
    acknowledged = case.evidence.get("acknowledged", ())
    if case.subject == Case.Subject.UPLOAD:
        signals = [*(one for one in signals if one.model != UPLOAD), *uploads.brought(case)]
    verdict = judge(policies(), case.subject, signals, needed, key=str(case.key), acknowledged=acknowledged)
    return Found(signals, verdict, ())


def _against(found: Found, policy: str, answered: set[str]) -> tuple[Trigger, ...]:
    """What speaks against it of what was asked for, but for what a person answered when they released it.

    That a list names it is news to them.
    """
    return tuple(
        one
        for one in found.verdict.triggers
        if (not policy or one.policy_code in (policy, ""))
        and (one.policy_code not in answered or (one.signal == known.LISTED and one.action == "block"))
    )


def _act(case: Case, found: Found, tally: Tally, *, is_dry: bool) -> None:
    """Ask a person, or take it back; and keep what was said, where it is news."""
    if not found.against and not found.seen:
        return
    house = policies()
    with step("rescan.ask"):
        held = Case.objects.select_for_update(of=("self",)).filter(pk=case.pk, state=Case.State.CLEARED)
        if not held.exists():
            # Somebody took it back meanwhile.
            return
        is_severe = found.is_severe_match
        asks = bool(found.against) and not is_severe and not _is_asked(case, found)
        tally.withdrawn += is_severe
        tally.asked += asks
        if is_dry:
            return
        if found.signals and (found.seen or asks or is_severe):
            keep(case, found.signals, found.verdict, house, views=found.views, worker=WORKER)
        if is_severe:
            code = next(one.policy_code for one in found.against if one.signal == known.LISTED)
            reason = f"{code} block: found when what is out was looked at again"
            withdraw(case, moderator=None, reason=reason, policy_code=code, policy_version=house.version, severe=True)
        elif asks:
            Sample.objects.create(
                case=case, stratum=Sample.Stratum.RESCAN, probability=1, cause=found.cause,
                policy_version=house.version, reason="; ".join(map(sentence, found.against))[:500],
            )  # fmt: skip


def _is_asked(case: Case, found: Found) -> bool:
    return Sample.objects.filter(case=case, stratum=Sample.Stratum.RESCAN, cause=found.cause).exists()
