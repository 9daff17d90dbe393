"""What the policies say of signals: a pure function, and the only place where a score becomes a verdict."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from moderation.policy import Combination, Condition, Policy, PolicySet, Threshold
from moderation.signals import Signal

Outcome = Literal["clear", "review", "block"]


@dataclass(frozen=True)
class Trigger:
    """One reason for a verdict: which policy, which signal, which score over which threshold.

    action is `review` or `block`; `unscreened` where a signal that the policy needs did not come, and then
    score is None.
    """

    policy_code: str
    signal: str
    score: float | None
    threshold: float
    action: Literal["review", "block", "unscreened"]
    severity: int
    why: str = ""
    field: str = ""
    words: tuple[str, ...] = ()
    # A block that its policy lets a person acknowledge.
    is_soft: bool = False
    # For moderators alone.
    note: str = ""
    # Of a threshold, a combination or a model in shadow.
    is_shadow: bool = False


@dataclass(frozen=True)
class Verdict:
    """The outcome, and every reason for it, the worst first. severity is that of the worst reason, 0 to 3.

    shadow are the reasons that policies, thresholds and models in shadow would have had, acknowledged the soft ones
    that the person answers for: they move nothing.
    """

    outcome: Outcome
    triggers: tuple[Trigger, ...]
    severity: int
    shadow: tuple[Trigger, ...] = ()
    acknowledged: tuple[Trigger, ...] = ()

    @property
    def is_unscreened(self) -> bool:
        """Something that had to speak did not."""
        return any(trigger.action == "unscreened" for trigger in self.triggers)


def judge(
    policies: PolicySet,
    subject: str,
    signals: Sequence[Signal],
    required: Collection[str],
    *,
    key: str = "",
    acknowledged: Collection[str] = (),
) -> Verdict:
    """Judge one subject. Fails closed: it is clear only if everything that must speak spoke, and nothing was over.

    1. For each threshold of each policy: every signal of that name and model. None, not a finite number in 0..1,
       or from another version than the threshold was calibrated for, is `unscreened`, which asks a person.
    2. The same for each classifier that is required and gave no signal at all.
    3. The same for each combination of each policy, which acts where the highest of each of its signals is high enough.
    4. Block outweighs review, review outweighs clear. More signals never make it milder.
    5. What a policy says that does not act on this subject (`key`) is kept apart, and what a threshold, a combination
       or a model in shadow says; so is a soft block of a policy whose code was `acknowledged`. Everything else was
       asked all the same.
    """
    triggers: list[Trigger] = []
    for policy, threshold in policies.thresholds(subject):
        given = _given(signals, threshold)
        triggers += _unscreened(policy, threshold, given, threshold.review, is_shadow=threshold.is_shadow)
        for one in given:
            if _unusable(one, threshold.version):
                continue
            if threshold.block is not None and one.score >= threshold.block:
                action: Literal["review", "block"] = "block"
                over = threshold.block
            elif one.score >= threshold.review:
                action, over = "review", threshold.review
            else:
                continue
            triggers.append(
                Trigger(
                    policy.code,
                    one.name,
                    one.score,
                    over,
                    action,
                    max(policy.severity, one.severity),
                    note=one.note,
                    field=one.field,
                    words=one.words,
                    is_soft=action == "block" and policy.acknowledge is not None and one.score < 1,
                    is_shadow=threshold.is_shadow,
                )
            )
    for policy, combination in policies.combinations(subject):
        triggers += _combined(policy, combination, signals)
    spoke = {one.model for one in signals}
    triggers += [
        Trigger("", name, None, 0.0, "unscreened", 0, f"{name} did not look at it")
        for name in sorted(set(required) - spoke - policies.shadow)
    ]
    weight = {"block": 2, "review": 1, "unscreened": 0}
    quiet = {policy.code for policy in policies if not policy.acts_on(key)}
    silent = [one for one in triggers if one.is_shadow or one.policy_code in quiet]
    shadow = tuple(one for one in silent if one.action != "unscreened")
    triggers = [one for one in triggers if one not in silent]
    answered = tuple(one for one in triggers if one.is_soft and one.policy_code in acknowledged)
    triggers = [one for one in triggers if one not in answered]
    triggers.sort(key=lambda one: (-weight[one.action], one.is_soft, -one.severity, one.policy_code))
    if not triggers:
        return Verdict("clear", (), 0, shadow, answered)
    blocks = [trigger for trigger in triggers if trigger.action == "block"]
    reasons = blocks or [trigger for trigger in triggers if trigger.action == "review"]
    severity = max((trigger.severity for trigger in reasons), default=0)
    return Verdict("block" if blocks else "review", tuple(triggers), severity, shadow, answered)


def _given(signals: Sequence[Signal], asked: Threshold | Condition) -> list[Signal]:
    return [one for one in signals if (one.name, one.model) == (asked.signal, asked.model)]


def _unscreened(
    policy: Policy, asked: Threshold | Condition, given: Sequence[Signal], least: float, *, is_shadow: bool
) -> list[Trigger]:
    unsure = [why for one in given if (why := _unusable(one, asked.version))]
    if not given:
        unsure = [f"{asked.model} gave no score for it"]
    return [
        Trigger(policy.code, asked.signal, None, least, "unscreened", policy.severity, why, is_shadow=is_shadow)
        for why in unsure
    ]


def _combined(policy: Policy, combination: Combination, signals: Sequence[Signal]) -> list[Trigger]:
    """The one reason of a combination that holds, or why it cannot be told."""
    unsure: list[Trigger] = []
    highest: list[tuple[Condition, Signal]] = []
    for condition in combination.conditions:
        given = _given(signals, condition)
        unsure += _unscreened(policy, condition, given, condition.at_least, is_shadow=combination.is_shadow)
        if sound := [one for one in given if not _unusable(one, condition.version)]:
            highest.append((condition, max(sound, key=lambda one: one.score)))
    if unsure:
        return unsure
    if any(one.score < condition.at_least for condition, one in highest):
        return []
    condition, lowest = min(highest, key=lambda each: each[1].score - each[0].at_least)
    return [
        Trigger(
            policy.code,
            " with ".join(f"{one.name} of {one.model}" for _, one in highest),
            lowest.score,
            condition.at_least,
            combination.action,
            policy.severity,
            field=next((one.field for _, one in highest if one.field), ""),
            words=tuple(dict.fromkeys(word for _, one in highest for word in one.words)),
            is_shadow=combination.is_shadow,
        )
    ]


def _unusable(signal: Signal, version: str) -> str:
    """Why a score is no answer; nothing when it is one. NaN compares false with everything, so it is asked for."""
    score = signal.score
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        return f"{signal.model} gave {score!r}, which is no number"
    if not 0 <= score <= 1:
        return f"{signal.model} gave {score!r}, which is not between 0 and 1"
    if not signal.version.startswith(version):
        return f"{signal.model} is of version {signal.version[:12]}, the threshold of {version[:12]}"
    return ""
