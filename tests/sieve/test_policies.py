"""A policy that is written wrongly is refused with the file and the key in the message."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moderation import policy_files
from moderation.policy import PolicyError, PolicySet
from moderation.reading import tokens

SOUND = """
code = "hats"
severity = "low"
title = { en = "Hats", it = "Cappelli" }
statement = { en = "It shows a hat.", it = "Mostra un cappello." }
remedy = { en = "No hat.", it = "Senza cappello." }

[words]
review = ["top hat"]
block = ["crown"]
harmless = ["hat trick"]
together = [["hat"], ["cat"]]

[concept]
exemplars = ["a hat"]
lookalikes = ["a crown"]
bias = 0.1
temperature = 0.05

[[thresholds]]
signal = "hats"
model = "house-clip"
version = "abc"
subjects = ["upload", "medium"]
review = 0.5
block = 0.9
"""


def load(folder: Path, text: str) -> PolicySet:
    (folder / "hats.toml").write_text(text, encoding="utf-8")
    return policy_files.load(folder)


def test_the_sound_policy_is_read(tmp_path: Path) -> None:
    (policy,) = load(tmp_path, SOUND)
    assert (policy.code, policy.severity) == ("hats", 0)
    assert [one.model for one in policy.thresholds] == ["house-clip", "lexicon", "text"]


@pytest.mark.parametrize(
    ("right", "wrong", "key"),
    [
        ('severity = "low"', 'severty = "low"', "severity"),
        ('severity = "low"', 'severity = "lowest"', "severity"),
        ('severity = "low"', "severity = 1", "severity"),
        ('code = "hats"', 'code = "hats and caps"', "code"),
        ('code = "hats"', 'code = ""', "code"),
        ('code = "hats"', 'code = "hats"\ncolour = "red"', "colour"),
        ('title = { en = "Hats", it', 'title = { en = "Hats", ti', "title.it"),
        ('title = { en = "Hats", it = "Cappelli" }', 'title = "Hats"', "title"),
        ('remedy = { en = "No hat.", it = "Senza cappello." }', "", "remedy"),
        ('review = ["top hat"]', 'review = "top hat"', "words.review"),
        ('review = ["top hat"]', 'review = ["top hat", 1]', "words.review"),
        ('review = ["top hat"]', 'revue = ["top hat"]', "words.revue"),
        ('together = [["hat"], ["cat"]]', 'together = [["hat"]]', "words.together"),
        ('together = [["hat"], ["cat"]]', 'together = ["hat", "cat"]', "words.together"),
        ('harmless = ["hat trick"]', 'harmless = ["hat trick"]\nnames = "yes"', "words.names"),
        ('exemplars = ["a hat"]', 'examples = ["a hat"]', "concept.exemplars"),
        ("bias = 0.1", 'bias = "0.1"', "concept.bias"),
        ("bias = 0.1", "bias = nan", "concept.bias"),
        ("temperature = 0.05", "temperature = 0", "concept.temperature"),
        ("temperature = 0.05", "temperature = inf", "concept.temperature"),
        ("temperature = 0.05", "temperature = 0.05\nscale = 1", "concept.scale"),
        ('model = "house-clip"', 'model = "house-clap"', "concept"),
        ('signal = "hats"', "signal = 1", "thresholds.signal"),
        ('subjects = ["upload", "medium"]', 'subjects = ["uploads"]', "thresholds.subjects"),
        ("review = 0.5", "revew = 0.5", "thresholds.review"),
        ("review = 0.5", "review = 50", "thresholds.review"),
        ("review = 0.5", "review = true", "thresholds.review"),
        ("review = 0.5", "review = nan", "thresholds.review"),
        ("block = 0.9", "block = 0.4", "thresholds.review"),
        ("block = 0.9", "blok = 0.9", "thresholds.blok"),
        ('code = "hats"', "code = hats", "the file"),
        ('code = "hats"', 'code = "hats"\nmode = "quiet"', "mode"),
        ('code = "hats"', 'code = "hats"\nmode = true', "mode"),
        ('code = "hats"', 'code = "hats"\nshare = 1.5', "share"),
        ('code = "hats"', 'code = "hats"\nshare = "half"', "share"),
    ],
)
def test_a_typo_is_named_with_its_file_and_key(tmp_path: Path, right: str, wrong: str, key: str) -> None:
    assert SOUND.count(right) == 1
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, SOUND.replace(right, wrong))
    assert (caught.value.file, caught.value.key) == ("hats.toml", key)
    assert str(caught.value).startswith(f"hats.toml: {key} ")


def test_a_policy_that_would_judge_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="would judge nothing"):
        load(tmp_path, SOUND[: SOUND.index("[words]")])


def test_a_code_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(SOUND)
    with pytest.raises(PolicyError, match=r"other\.toml: code"):
        load(tmp_path, SOUND)


def test_a_folder_without_policies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="has no policy"):
        policy_files.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("review = 0.5", "review = 0.51"),
        lambda text: text.replace('"top hat"', '"tall hat"'),
        lambda text: text.replace("Senza cappello.", "Niente cappello."),
        lambda text: text.replace("bias = 0.1", "bias = 0.2"),
    ],
)
def test_the_version_follows_everything_that_is_said(tmp_path: Path, change: Callable[[str], str]) -> None:
    before = load(tmp_path, SOUND).version
    assert load(tmp_path, change(SOUND)).version != before
    assert load(tmp_path, SOUND + "\n# A remark.\n").version == before


def test_no_term_of_the_house_is_normalised_into_a_riddle(house: PolicySet) -> None:
    """A term like xxx would shrink to x, and refuse 4 x 4."""
    for policy in house:
        if policy.words is None:
            continue
        for group in (policy.words.review, policy.words.block, *policy.words.together):
            assert not [term for term in group if len("".join(tokens(term))) < 3], policy.code


def test_no_term_of_the_house_is_listed_twice(house: PolicySet) -> None:
    for policy in house:
        if policy.words is None:
            continue
        assert not set(policy.words.review) & set(policy.words.block), policy.code
        for group in (policy.words.review, policy.words.block, policy.words.harmless, *policy.words.together):
            assert len(set(group)) == len(group), policy.code


def test_a_policy_acts_unless_it_says_otherwise(tmp_path: Path) -> None:
    (policy,) = load(tmp_path, SOUND)
    assert not policy.is_shadow
    assert policy.acts_on("anything")
    (policy,) = load(tmp_path, SOUND.replace('severity = "low"', 'severity = "low"\nmode = "shadow"'))
    assert policy.is_shadow
    assert not policy.acts_on("")


def test_a_policy_that_is_rolled_out_acts_on_its_share_and_always_on_the_same(tmp_path: Path) -> None:
    (policy,) = load(tmp_path, SOUND.replace('severity = "low"', 'severity = "low"\nshare = 0.25'))
    keys = [str(number) for number in range(4000)]
    acted = [key for key in keys if policy.acts_on(key)]
    assert 0.22 < len(acted) / len(keys) < 0.28
    assert acted == [key for key in keys if policy.acts_on(key)]
    (wider,) = load(tmp_path, SOUND.replace('severity = "low"', 'severity = "low"\nshare = 0.5'))
    assert all(wider.acts_on(key) for key in acted), "whom it acted on it still acts on when it is widened"
    assert policy.acts_on(""), "of what is not known it is on the safe side"
