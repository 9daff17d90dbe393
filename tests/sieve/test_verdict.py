"""The verdict fails closed: what is missing, broken or foreign never yields a clear."""

import math
import random
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Literal

import pytest

from moderation import policy_files
from moderation.policy import Combination, Condition, Policy, PolicyError, PolicySet, Threshold
from moderation.signals import Signal
from moderation.verdict import Verdict, judge

ROOT = Path(__file__).resolve().parents[2]
WEIGHT = {"clear": 0, "review": 1, "block": 2}
SUBJECTS = ("prompt", "upload", "medium")
SCORES = (0.0, 0.2, 0.49, 0.5, 0.7, 0.9, 1.0)
BROKEN = (math.nan, math.inf, -math.inf, -0.01, 1.01, 57.0, None, True, "0.1")


def policy(code: str, severity: int, *thresholds: Threshold) -> Policy:
    texts = {"en": code, "it": code}
    return Policy(code, severity, code, texts, texts, texts, thresholds, None, None)


def threshold(signal: str, model: str, *, block: float | None = None) -> Threshold:
    return Threshold(signal, model, "abc", ("medium",), review=0.5, block=block)


HOUSE = PolicySet(
    (
        policy("hats", 1, threshold("hats", "eyes", block=0.9)),
        policy("cats", 3, threshold("cats", "eyes"), threshold("cats", "nose", block=0.7)),
    ),
    "1",
)
REQUIRED = frozenset({"eyes", "nose"})
QUIET = (
    Signal("hats", 0.0, "eyes", "abcdef"),
    Signal("cats", 0.0, "eyes", "abcdef"),
    Signal("cats", 0.0, "nose", "abcdef"),
)


def verdict(*signals: Signal) -> Verdict:
    return judge(HOUSE, "medium", signals, REQUIRED)


def changed(place: int, **changes: object) -> list[Signal]:
    signals = list(QUIET)
    signals[place] = replace(signals[place], **changes)
    return signals


def test_all_quiet_is_clear() -> None:
    assert verdict(*QUIET) == Verdict("clear", (), 0)


@pytest.mark.parametrize("place", range(len(QUIET)))
@pytest.mark.parametrize("score", BROKEN, ids=str)
def test_a_broken_score_asks_a_person(place: int, score: object) -> None:
    said = verdict(*changed(place, score=score))
    assert said.outcome == "review"
    assert said.is_unscreened
    (trigger,) = said.triggers
    assert (trigger.signal, trigger.score) == (QUIET[place].name, None)
    assert repr(score) in trigger.why


@pytest.mark.parametrize("place", range(len(QUIET)))
@pytest.mark.parametrize("version", ["", "ab", "xabc", "ABCDEF"])
def test_another_version_asks_a_person(place: int, version: str) -> None:
    said = verdict(*changed(place, version=version))
    assert said.outcome == "review"
    assert said.is_unscreened


@pytest.mark.parametrize("place", range(len(QUIET)))
def test_a_signal_from_another_model_is_no_answer(place: int) -> None:
    assert verdict(*changed(place, model="ears")).is_unscreened


@pytest.mark.parametrize("place", range(len(QUIET)))
def test_a_missing_signal_asks_a_person(place: int) -> None:
    said = verdict(*QUIET[:place], *QUIET[place + 1 :])
    assert said.outcome == "review"
    assert said.is_unscreened


def test_a_broken_score_beside_a_sound_one_asks_a_person() -> None:
    said = verdict(*QUIET, replace(QUIET[0], score=math.nan))
    assert said.outcome == "review"
    assert said.is_unscreened


def test_no_signals_at_all_ask_a_person() -> None:
    said = verdict()
    assert said.outcome == "review"
    assert len(said.triggers) == 3 + len(REQUIRED)


def test_a_required_classifier_that_is_silent_asks_a_person() -> None:
    said = judge(HOUSE, "medium", QUIET, REQUIRED | {"ears"})
    assert said.outcome == "review"
    (trigger,) = said.triggers
    assert trigger.why == "ears did not look at it"


def test_a_block_outweighs_what_is_missing() -> None:
    said = verdict(replace(QUIET[2], score=1.0))
    assert said.outcome == "block"
    assert said.is_unscreened


def test_a_threshold_counts_from_its_own_value_on() -> None:
    assert verdict(*changed(0, score=0.5)).outcome == "review"
    assert verdict(*changed(0, score=math.nextafter(0.5, 0))).outcome == "clear"
    assert verdict(*changed(0, score=0.9)).outcome == "block"
    assert verdict(*changed(0, score=math.nextafter(0.9, 0))).outcome == "review"


def test_a_signal_without_a_block_threshold_never_blocks() -> None:
    assert verdict(*changed(1, score=1.0)).outcome == "review"


def test_the_worst_reason_comes_first_and_gives_the_severity() -> None:
    said = verdict(*(replace(one, score=1.0) for one in QUIET))
    assert (said.triggers[0].policy_code, said.triggers[0].action, said.severity) == ("cats", "block", 3)
    assert [one.action for one in said.triggers] == ["block", "block", "review"]


def test_what_only_asks_does_not_raise_the_severity_of_a_block() -> None:
    said = verdict(*changed(0, score=1.0)[:1], replace(QUIET[1], score=0.6), QUIET[2])
    assert (said.outcome, said.severity) == ("block", 1)


def shadowed(code: str, **changes: object) -> PolicySet:
    return PolicySet(tuple(replace(one, **changes) if one.code == code else one for one in HOUSE), "2")


def test_a_policy_in_shadow_says_what_it_would_have_done_and_does_nothing() -> None:
    loud = [replace(QUIET[0], score=0.95), *QUIET[1:]]
    said = judge(shadowed("hats", is_shadow=True), "medium", loud, REQUIRED)
    assert (said.outcome, said.triggers, said.severity) == ("clear", (), 0)
    assert [(one.policy_code, one.action) for one in said.shadow] == [("hats", "block")]
    # The others act as before, and what is missing for them still asks a person.
    cats = [*loud[:1], replace(QUIET[1], score=0.6), QUIET[2]]
    assert judge(shadowed("hats", is_shadow=True), "medium", cats, REQUIRED).outcome == "review"
    assert judge(shadowed("hats", is_shadow=True), "medium", loud[:1], REQUIRED).is_unscreened


def test_a_classifier_that_only_a_shadow_needs_holds_nobody_up() -> None:
    assert judge(shadowed("cats", is_shadow=True), "medium", QUIET[:1], {"eyes"}).outcome == "clear"


def test_a_threshold_in_shadow_says_what_it_would_have_done_and_the_others_act() -> None:
    first, second = HOUSE.policies[0].thresholds[0], HOUSE.policies[1].thresholds[1]
    quieted = PolicySet(
        (
            replace(HOUSE.policies[0], thresholds=(replace(first, is_shadow=True),)),
            replace(HOUSE.policies[1], thresholds=(HOUSE.policies[1].thresholds[0], replace(second, is_shadow=True))),
        ),
        "3",
    )
    loud = [replace(QUIET[0], score=0.95), QUIET[1], replace(QUIET[2], score=0.8)]
    said = judge(quieted, "medium", loud, REQUIRED)
    assert (said.outcome, said.triggers) == ("clear", ())
    assert sorted((one.signal, one.action) for one in said.shadow) == [("cats", "block"), ("hats", "block")]
    asked = judge(quieted, "medium", [loud[0], replace(QUIET[1], score=0.6), QUIET[2]], REQUIRED)
    assert (asked.outcome, [one.signal for one in asked.triggers]) == ("review", ["cats"])
    # What only a shadow asks may be missing or broken; what anything else asks may not.
    broken = [replace(QUIET[0], score=math.nan), QUIET[1], replace(QUIET[2], score=0.0)]
    assert judge(quieted, "medium", broken, REQUIRED).outcome == "clear"
    assert judge(quieted, "medium", [QUIET[0], QUIET[2]], REQUIRED).is_unscreened


def test_a_model_on_trial_moves_nothing_in_whatever_policy_it_is_asked(tmp_path: Path) -> None:
    for file in (ROOT / "moderation" / "policies").glob("*.toml"):
        shutil.copy(file, tmp_path)
    plain, trial = policy_files.load(tmp_path), policy_files.load(tmp_path, shadow=["faces", "opennsfw"])
    assert plain.version != trial.version
    for before, policy in zip(plain, trial, strict=True):
        for old, new in zip(before.thresholds, policy.thresholds, strict=True):
            assert new.is_shadow == (old.is_shadow or new.model in trial.shadow)
        for one in policy.combinations:
            assert one.is_shadow == any(each.model in trial.shadow for each in one.conditions)
    others = plain.asked("medium") - {one for one in plain.asked("medium") if one[1] in trial.shadow}
    quiet = [Signal(signal, 0.0, model, version or "1") for signal, model, version in sorted(others)]
    models = {model for _, model, _ in plain.asked("medium")}
    assert judge(plain, "medium", quiet, models).is_unscreened
    assert judge(trial, "medium", quiet, models).outcome == "clear"
    loud = [*quiet, Signal("nudity", 1.0, "opennsfw", "x"), Signal("protected", 1.0, "faces", "x")]
    said = judge(trial, "medium", loud, models)
    assert said.outcome == "clear"
    with pytest.raises(PolicyError, match=r"SHADOW_CLASSIFIERS names noses, which no policy asks"):
        policy_files.load(tmp_path, shadow=["noses"])


def test_a_policy_on_a_share_acts_on_some_and_says_of_the_others_what_it_would_have_done() -> None:
    loud = [replace(QUIET[0], score=0.95), *QUIET[1:]]
    said = [judge(shadowed("hats", share=0.5), "medium", loud, REQUIRED, key=str(key)) for key in range(200)]
    blocked = [one for one in said if one.outcome == "block"]
    assert 60 < len(blocked) < 140
    assert all(bool(one.shadow) == (one.outcome == "clear") for one in said)
    assert judge(shadowed("hats", share=0.0), "medium", loud, REQUIRED).outcome == "block", "whose key nobody gave"


def answers(chance: random.Random) -> list[Signal]:
    """Any answers of classifiers: sound and broken ones, some twice, some not at all."""
    versions = ("abc", "abcdef", "xyz", "")
    made = []
    for name, model in product(("hats", "cats", "bats"), ("eyes", "nose", "ears")):
        for _ in range(chance.choice((0, 1, 1, 1, 2))):
            score = chance.choice(SCORES) if chance.random() < 0.85 else chance.choice(BROKEN)
            version = "abcdef" if chance.random() < 0.85 else chance.choice(versions)
            made.append(Signal(name, score, model, version))
    chance.shuffle(made)
    return made


@pytest.mark.parametrize("seed", range(5))
def test_one_more_signal_never_makes_it_milder_than_it_was_judged(seed: int) -> None:
    """An answer can only be a reason. Where one was missing, its coming ends the doubt about it, and nothing else."""
    chance = random.Random(seed)
    for _ in range(400):
        signals = answers(chance)
        before = verdict(*signals)
        more = chance.choice(answers(chance) or list(QUIET))
        after = verdict(*signals, more)
        reasons = {trigger for trigger in before.triggers if trigger.action != "unscreened"}
        assert reasons <= set(after.triggers)
        if not before.is_unscreened:
            assert WEIGHT[after.outcome] >= WEIGHT[before.outcome]
        if before.outcome == "block":
            assert after.outcome == "block"
        assert after.outcome != "clear" or not reasons


@pytest.mark.parametrize("seed", range(5))
def test_one_signal_less_never_makes_it_clear(seed: int) -> None:
    chance = random.Random(seed)
    cleared = 0
    for _ in range(400):
        signals = answers(chance) if chance.random() < 0.7 else list(QUIET)
        before = verdict(*signals)
        cleared += before.outcome == "clear"
        for place, gone in enumerate(signals):
            after = verdict(*signals[:place], *signals[place + 1 :])
            asked = any((one.signal, one.model) == (gone.name, gone.model) for _, one in HOUSE.thresholds("medium"))
            spoken = any(
                (one.name, one.model) == (gone.name, gone.model) for one in signals[:place] + signals[place + 1 :]
            )
            if asked and not spoken:
                assert after.outcome != "clear"
    assert cleared > 20


@pytest.mark.parametrize("seed", range(3))
def test_a_higher_score_is_never_judged_milder(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        scores = [chance.choice(SCORES) for _ in QUIET]
        place = chance.randrange(len(QUIET))
        raised = scores.copy()
        raised[place] = chance.choice([one for one in SCORES if one >= scores[place]])
        lower, higher = (
            verdict(*(replace(one, score=score) for one, score in zip(QUIET, given, strict=True)))
            for given in (scores, raised)
        )
        assert WEIGHT[higher.outcome] >= WEIGHT[lower.outcome]


def test_the_order_of_the_signals_does_not_matter() -> None:
    chance = random.Random(1)
    for _ in range(100):
        signals = answers(chance)
        shuffled = random.Random(2).sample(signals, len(signals))
        assert verdict(*signals).outcome == verdict(*shuffled).outcome
        assert verdict(*signals).severity == verdict(*shuffled).severity


@pytest.mark.parametrize("subject", SUBJECTS)
def test_nothing_heard_is_never_clear_in_this_house(house: PolicySet, subject: str) -> None:
    assert judge(house, subject, [], set()).outcome == "review"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_each_answer_of_the_house_is_needed(house: PolicySet, subject: str) -> None:
    asked = sorted(house.asked(subject))
    whole = [Signal(signal, 0.0, model, version or "1") for signal, model, version in asked]
    assert judge(house, subject, whole, {model for _, model, _ in asked}).outcome == "clear"
    # What a threshold in shadow alone asks may be missing: nothing rests on it.
    resting = [one for _, one in house.thresholds(subject) if not one.is_shadow]
    resting += [each for _, one in house.combinations(subject) if not one.is_shadow for each in one.conditions]
    needed = {(one.signal, one.model) for one in resting}
    assert len(needed) > len(whole) - 4
    for place, one in enumerate(whole):
        outcome = judge(house, subject, whole[:place] + whole[place + 1 :], set()).outcome
        assert outcome == ("review" if (one.name, one.model) in needed else "clear")


def combined(action: Literal["review", "block"] = "block", *, at_least: float = 0.5) -> PolicySet:
    """A house whose one policy acts where a name and nudity come together."""
    conditions = (Condition("named", "names", "v1", at_least), Condition("nudity", "nsfw", "", 0.3))
    policy = replace(
        HOUSE.policies[0],
        code="deepfake",
        thresholds=(),
        words=None,
        concept=None,
        combinations=(Combination(("prompt", "medium"), action, conditions),),
    )
    return PolicySet((policy,), "1")


def named(score: float, version: str = "v1") -> Signal:
    return Signal("named", score, "names", version, field="prompt", words=("Ann Smith",))


def nude(score: float) -> Signal:
    return Signal("nudity", score, "nsfw", "1")


@pytest.mark.parametrize("action", ["review", "block"])
def test_a_combination_acts_where_all_of_it_is_there(action: Literal["review", "block"]) -> None:
    verdict = judge(combined(action), "prompt", [named(1.0), nude(0.4)], set())
    assert verdict.outcome == action
    (trigger,) = verdict.triggers
    assert (trigger.policy_code, trigger.words, trigger.field) == ("deepfake", ("Ann Smith",), "prompt")
    assert "named of names with nudity of nsfw" in trigger.signal


@pytest.mark.parametrize(("one", "other"), [(0.49, 1.0), (1.0, 0.29), (0.0, 0.0)])
def test_a_combination_is_quiet_where_one_of_it_is_low(one: float, other: float) -> None:
    assert judge(combined(), "prompt", [named(one), nude(other)], set()).outcome == "clear"


def test_the_highest_of_each_signal_counts() -> None:
    signals = [named(0.0), named(0.9), nude(0.1), nude(0.3)]
    assert judge(combined(), "prompt", signals, set()).outcome == "block"
    assert judge(combined(), "prompt", signals[::-1], set()).outcome == "block"


@pytest.mark.parametrize(
    "signals",
    [
        [named(1.0)],
        [nude(1.0)],
        [named(1.0, "v2"), nude(1.0)],
        [named(math.nan), nude(1.0)],
        [named(0.0), nude(math.inf)],
        [named(0.0, "v2"), nude(0.0)],
        [],
    ],
)
def test_a_combination_that_cannot_be_told_is_never_clear(signals: list[Signal]) -> None:
    verdict = judge(combined(), "prompt", signals, set())
    assert verdict.outcome == "review"
    assert verdict.is_unscreened


def test_a_combination_speaks_of_its_subjects_only() -> None:
    assert judge(combined(), "upload", [], set()).outcome == "clear"
    assert combined().asked("upload") == set()
    assert combined().asked("prompt") == {("named", "names", "v1"), ("nudity", "nsfw", "")}


def test_a_policy_in_context_never_acts_by_itself() -> None:
    quiet = PolicySet(tuple(replace(one, is_context=True) for one in HOUSE), "2")
    loud = [Signal(one.signal, 1.0, one.model, one.version) for one in HOUSE.policies[0].thresholds]
    assert judge(HOUSE, "medium", loud, set()).outcome == "block"
    assert judge(HOUSE, "medium", [], set()).outcome == "review"
    assert judge(quiet, "medium", loud, set()).outcome == "clear"
    assert judge(quiet, "medium", [], set()).outcome == "clear"
