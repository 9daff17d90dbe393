"""What other policies would have said of what was screened: nothing is screened again, stored signals are judged anew.

Words are judged anew from the prompts themselves. Costs one pass over the screenings of the time that is asked about,
some hundreds at a time, whatever their number.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import OuterRef, Subquery

from moderation import registry
from moderation.lexicon import judge_prompt
from moderation.models import Case, Decision, Screening
from moderation.models import Signal as SignalRow
from moderation.policy import KNOWN, LEXICON, PolicySet
from moderation.signals import Signal
from moderation.verdict import Verdict, judge

AT_ONCE = 500
OUTCOMES = ("clear", "review", "block")


@dataclass
class Moved:
    """How one policy would have acted: how often it asked a person, and blocked, before and after."""

    asked: list[int] = field(default_factory=lambda: [0, 0])
    blocked: list[int] = field(default_factory=lambda: [0, 0])


@dataclass
class Report:
    """What would have been other. `arrows` counts (before, after) by subject; `people` what people had decided of
    what the machine asked them about, by what the machine would say now."""

    screenings: int = 0
    days: float = 0.0
    arrows: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    policies: dict[str, Moved] = field(default_factory=lambda: defaultdict(Moved))
    people: Counter[tuple[str, str]] = field(default_factory=Counter)

    def load(self, which: int) -> int:
        """How many went to people: 0 before, 1 after."""
        return sum(
            number for arrows in self.arrows.values() for arrow, number in arrows.items() if arrow[which] == "review"
        )

    @property
    def missed(self) -> tuple[int, int]:
        """Of what people refused, how many would now be cleared unseen, of how many."""
        refused = sum(number for (decided, _), number in self.people.items() if decided == Case.State.REFUSED)
        return self.people[Case.State.REFUSED, "clear"], refused

    @property
    def spared(self) -> tuple[int, int]:
        """Of what people cleared, how many would now need nobody, of how many."""
        cleared = sum(number for (decided, _), number in self.people.items() if decided == Case.State.CLEARED)
        return self.people[Case.State.CLEARED, "clear"], cleared


def simulate(now: PolicySet, then: PolicySet, *, since: datetime, until: datetime) -> Report:
    """Judge the last screening of each case in that time by both sets, and by the registry as it is now."""
    registry.refresh()
    report = Report(days=max((until - since).total_seconds() / 86_400, 1e-9))
    for screening, signals in _screenings(since, until):
        case = screening.case
        before, after = (_judged(house, case, signals) for house in (now, then))
        report.screenings += 1
        report.arrows[case.subject][before.outcome, after.outcome] += 1
        for place, verdict in enumerate((before, after)):
            for code, action in {(one.policy_code, one.action) for one in verdict.triggers}:
                if action == "review":
                    report.policies[code].asked[place] += 1
                elif action == "block":
                    report.policies[code].blocked[place] += 1
        if decided := getattr(screening, "decided_by_people", None):
            report.people[decided, after.outcome] += 1
    return report


def _judged(house: PolicySet, case: Case, signals: list[Signal]) -> Verdict:
    if case.subject == Case.Subject.PROMPT:
        prompt, negative = case.evidence["prompt"], case.evidence.get("negative_prompt", "")
        signals = [one for one in signals if one.model != LEXICON] + judge_prompt(prompt, negative, house)
    elif not any(one.model == KNOWN for one in signals):
        # From before pictures were looked up. What the lists say of them, `manage.py rescan` asks.
        asked = [one for _, one in house.thresholds(case.subject) if one.model == KNOWN]
        signals = [*signals, *(Signal(one.signal, 0.0, KNOWN, one.version) for one in asked)]
    answered = case.evidence.get("acknowledged", ())
    required = {one.model for one in signals}
    return judge(house, case.subject, signals, required, key=str(case.key), acknowledged=answered)


def stored(screenings: Sequence[Screening]) -> defaultdict[int, list[Signal]]:
    """The signals of each screening as the classifiers gave them, by its key."""
    signals: defaultdict[int, list[Signal]] = defaultdict(list)
    for row in SignalRow.objects.filter(screening__in=screenings):
        name, _, where = row.name.partition(" in ")
        score = float("nan") if row.score is None else row.score
        signals[row.screening_id].append(Signal(name, score, row.model, row.version, field=where))
    return signals


def _screenings(since: datetime, until: datetime) -> Iterator[tuple[Screening, list[Signal]]]:
    """The last screening of each case that did not fail, with its signals, and what people decided of the case."""
    later = Screening.objects.filter(case=OuterRef("case"), fault="").order_by("-pk").values("pk")[:1]
    people = Decision.objects.filter(
        case=OuterRef("case"), actor_kind__in=[Decision.ActorKind.MODERATOR, Decision.ActorKind.APPEAL]
    )
    found = (
        Screening.objects.filter(at__gte=since, at__lt=until, fault="")
        .annotate(latest=Subquery(later), decided_by_people=Subquery(people.order_by("-pk").values("to_state")[:1]))
        .select_related("case")
        .order_by("pk")
    )
    last = 0
    while batch := list(found.filter(pk__gt=last)[:AT_ONCE]):
        last = batch[-1].pk
        signals = stored(batch)
        for screening in batch:
            if screening.latest == screening.pk:
                yield screening, signals[screening.pk]


def differences(one: PolicySet, other: PolicySet) -> list[str]:
    """What is other in a set of policies, one line each, in words."""
    lines = []
    codes = sorted({policy.code for policy in (*one, *other)})
    for code in codes:
        before, after = one.named(code), other.named(code)
        if before is None or after is None:
            lines.append(f"{code}: {'is new' if before is None else 'is gone'}")
            continue
        for name in ("severity", "titles", "statement", "remedy", "is_shadow", "share", "acknowledge", "categories"):
            if (was := getattr(before, name)) != (will := getattr(after, name)):
                lines.append(f"{code}: {name} {_said(was)} becomes {_said(will)}")
        old, new = (
            {(each.signal, each.model, each.subjects): each for each in policy.thresholds} for policy in (before, after)
        )
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                lines.append(f"{code}: {key[0]} of {key[1]}, {_said(old.get(key))} becomes {_said(new.get(key))}")
        for part in ("words", "concept", "meaning"):
            lines += _parts(code, part, getattr(before, part), getattr(after, part))
    return lines


def _parts(code: str, part: str, before: object, after: object) -> list[str]:
    lines = []
    names = before.__dataclass_fields__ if before is not None else getattr(after, "__dataclass_fields__", {})  # type: ignore[attr-defined]
    for name in names:
        was, will = getattr(before, name, ()), getattr(after, name, ())
        if was == will:
            continue
        if isinstance(was, tuple) and isinstance(will, tuple):
            gone, come = [each for each in was if each not in will], [each for each in will if each not in was]
            lines += [f"{code}: {part}.{name} loses {_said(each)}" for each in gone]
            lines += [f"{code}: {part}.{name} gains {_said(each)}" for each in come]
        else:
            lines.append(f"{code}: {part}.{name} {_said(was)} becomes {_said(will)}")
    return lines


def _said(value: object) -> str:
    review = getattr(value, "review", None)
    if review is not None and hasattr(value, "block") and hasattr(value, "version"):
        return f"review from {review:g}" + ("" if value.block is None else f", block from {value.block:g}") + (
            f" (version {value.version})" if value.version else ""
        )  # fmt: skip
    return "nothing" if value in (None, ()) else repr(value)
