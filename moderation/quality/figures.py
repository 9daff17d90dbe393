"""What people found, set against what the machine said: precision, recall and review load of each policy, by week."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Subquery

from moderation.models import Case, Decision, Sample, SecondLook
from moderation.quality.intervals import Estimate, counted, weighted
from moderation.rules import in_words, policies

WEEKS = 12
WEEK = timedelta(days=7)
MEDIUM = Case.Subject.MEDIUM
Kind = Decision.ActorKind


@dataclass(frozen=True)
class Column:
    """A week's review load of a policy, drawn. Lengths are in the SVG's units, as text."""

    x: str
    y: str
    height: str
    told: str


@dataclass
class Policy:
    """One policy over the whole time. `asked` are pictures and films that it held; `by_week` counts them."""

    code: str
    title: str
    asked: int = 0
    upheld: int = 0
    decided: int = 0
    recall: Estimate = field(default_factory=lambda: counted(0, 0))
    by_week: Counter[int] = field(default_factory=Counter)

    @property
    def precision(self) -> Estimate:
        """Of what it held and a person decided, the share that was refused under it."""
        return counted(self.upheld, self.decided)


@dataclass(frozen=True)
class Figures:
    """`released` by the machine, `held` for a person, `blocked` by the machine: pictures and films of the time."""

    since: datetime
    weeks: list[date]
    released: int
    held: int
    blocked: int
    missed: Estimate
    policies: list[Policy]

    @property
    def load(self) -> Estimate:
        """The share of everything screened that waited for a person."""
        return counted(self.held, self.released + self.held + self.blocked)

    def columns(self, policy: Policy, *, width: float = 120.0, height: float = 24.0) -> list[Column]:
        """The review load of a policy by week, as bars under the highest of them."""
        top, step = max([1, *policy.by_week.values()]), width / len(self.weeks)
        tall = [height * policy.by_week[place] / top for place in range(len(self.weeks))]
        return [
            Column(
                f"{place * step:.1f}", f"{height - tall[place]:.1f}", f"{tall[place]:.1f}",
                f"week of {week:%-d %b}: {policy.by_week[place]:,} held",
            )
            for place, week in enumerate(self.weeks)
        ]  # fmt: skip


def figures(now: datetime, weeks: int = WEEKS) -> Figures:
    """The last weeks. Reads every case that was held in them and every second look once; what was released is counted
    by the database."""
    since = (now - WEEK * weeks).replace(hour=0, minute=0, second=0, microsecond=0)
    found = {one.code: Policy(one.code, in_words(one.titles)) for one in policies()}
    by_machine = _counts(since)
    drawn = Sample.objects.by_chance().filter(at__gte=since)
    looks = list(SecondLook.objects.filter(sample__in=drawn).values_list("policy_code", "sample__probability"))
    held = 0
    for case in _held(since):
        held += 1
        for code in case["case__policy_codes"]:
            if (policy := found.get(code)) is None:
                continue
            policy.asked += 1
            policy.by_week[min((case["created_at"] - since).days // 7, weeks - 1)] += 1
            if case["outcome"] is not None:
                policy.decided += 1
                policy.upheld += (case["outcome"], case["under"]) == (Case.State.REFUSED, code)
    released = by_machine["cleared"]
    for policy in found.values():
        policy.recall = _recall(policy, released, looks)
    spoke = [one for one in found.values() if one.asked or any(code == one.code for code, _ in looks)]
    return Figures(
        since=since,
        weeks=[(since + WEEK * place).date() for place in range(weeks)],
        released=released,
        held=held,
        blocked=by_machine["refused"],
        missed=weighted((bool(code), probability) for code, probability in looks),
        policies=sorted(spoke, key=lambda one: (-one.asked, one.code)),
    )


def _recall(policy: Policy, released: int, looks: Iterable[tuple[str, float]]) -> Estimate:
    """Of what breaks a policy and was drawn, the share that was held: what people upheld, beside what they would have
    found in all that was released, had they looked at it."""
    missed = weighted((code == policy.code, probability) for code, probability in looks)
    if missed.share is None or not policy.upheld:
        return Estimate(None, 0.0, 1.0, 0)

    def caught(share: float) -> float:
        return policy.upheld / (policy.upheld + share * released)

    return Estimate(caught(missed.share), caught(missed.high), caught(missed.low), missed.n)


def _counts(since: datetime) -> defaultdict[str, int]:
    """How many pictures and films the machine cleared and refused."""
    rows = (
        Decision.objects.filter(
            created_at__gte=since, case__subject=MEDIUM, actor_kind=Kind.MACHINE, to_state__in=["cleared", "refused"]
        )
        .values("to_state")
        .annotate(number=Count("pk"))
        .values_list("to_state", "number")
    )
    return defaultdict(int, rows)


def _held(since: datetime) -> Any:
    """Each picture or film that was held, and what a moderator then said of it."""
    said = Decision.objects.filter(case=OuterRef("case"), actor_kind=Kind.MODERATOR, from_state="in_review").order_by(
        "pk"
    )
    return (
        Decision.objects.filter(created_at__gte=since, case__subject=MEDIUM, to_state="in_review")
        .annotate(outcome=Subquery(said.values("to_state")[:1]), under=Subquery(said.values("policy_code")[:1]))
        .values("created_at", "case__policy_codes", "outcome", "under")
        .iterator()
    )
