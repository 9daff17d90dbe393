"""Keep what was said of a case, and say it in sentences."""

import math
from collections.abc import Sequence
from hashlib import sha256

from moderation.models import Case, Embedding, Screening
from moderation.models import Signal as SignalRow
from moderation.policy import PolicySet
from moderation.rules import in_words, policies
from moderation.signals import Signal
from moderation.verdict import Trigger, Verdict


def keep(
    case: Case, signals: Sequence[Signal], verdict: Verdict, house: PolicySet, *, views: Sequence[str], worker: str
) -> Screening:
    """Write down a screening that did not fail, with every signal and what a CLIP made of it, in the caller's
    transaction."""
    rows = _rows(case.subject, signals, house)
    screening = Screening.objects.create(
        case=case,
        attempt=case.attempts,
        views=[where for where in views if where],
        verdict=verdict.outcome,
        policy_version=house.version,
        worker=worker[:128],
        signals_sha256=_digest(rows),
        shadow=[{"policy": one.policy_code, "action": one.action} for one in verdict.shadow],
    )
    for row in rows:
        row.screening = screening
    SignalRow.objects.bulk_create(rows)
    Embedding.objects.bulk_create(
        (
            Embedding(case=case, model=one.model, version=one.version, vector=one.trace)
            for one in signals
            if one.trace and math.isfinite(one.score)
        ),
        ignore_conflicts=True,
    )
    return screening


def _rows(subject: str, signals: Sequence[Signal], house: PolicySet) -> list[SignalRow]:
    """The signals as rows, each with the policy that reads it and the score from which on that asks."""
    read_by = {(one.signal, one.model): (policy.code, one.review) for policy, one in house.thresholds(subject)}
    rows = []
    for signal in signals:
        code, threshold = read_by.get((signal.name, signal.model), ("", None))
        whole = isinstance(signal.score, int | float) and math.isfinite(signal.score)
        where = f" in {signal.field}" if signal.field not in {"", "prompt"} else ""
        rows.append(
            SignalRow(
                name=f"{signal.name}{where}"[:80],
                score=float(signal.score) if whole else None,
                fault="" if whole else repr(signal.score)[:40],
                model=signal.model[:80],
                version=signal.version[:80],
                policy_code=code,
                threshold=threshold,
            )
        )
    return rows


def _digest(rows: Sequence[SignalRow]) -> str:
    lines = sorted(f"{row.name}|{row.score!r}|{row.fault}|{row.model}|{row.version}" for row in rows)
    return sha256("\n".join(lines).encode()).hexdigest()


def sentence(trigger: Trigger) -> str:
    """One reason for a verdict, for the moderator."""
    policy = policies().named(trigger.policy_code)
    title = in_words(policy.titles) if policy else "Every policy"
    if trigger.action == "unscreened":
        return f"{title}: not screened, {trigger.why}"
    acts = "refuses" if trigger.action == "block" else "asks"
    words = f" by {', '.join(f'“{word}”' for word in trigger.words)}" if trigger.words else ""
    if trigger.field == "prompt" and not trigger.words:
        words = " by the meaning of what stands"
    elif trigger.words and trigger.field not in {"prompt", "negative_prompt"}:
        words += ", which is written in the picture,"
    where = f" in {trigger.field}" if trigger.field else ""
    told = f"{title} {acts}{words}{where} ({trigger.signal} {trigger.score or 0:.2f} of {trigger.threshold:.2f})"
    return f"{told}: {trigger.note}" if trigger.note else told
