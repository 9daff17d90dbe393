"""Policies as they are written: one TOML file each, every key of which is taken once; what nobody took is a typo."""

import hashlib
import json
import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from moderation.policy import (
    ACTIONS,
    CATEGORIES,
    HOUSE_CLIP,
    LANGUAGES,
    LEXICON,
    MEANING,
    MODES,
    PICTURES,
    READER_VERSION,
    REGISTRIES,
    SEVERITIES,
    SUBJECTS,
    TEXT,
    TEXT_MEANING,
    Combination,
    Concept,
    Condition,
    Meaning,
    Policy,
    PolicyError,
    PolicySet,
    Threshold,
    Words,
)


def load(*folders: Path, shadow: Collection[str] = ()) -> PolicySet:
    """Read every policy of the folders, with these models in shadow.

    Raises PolicyError; no policy at all is an error too, and so is a model that none asks.
    """
    policies: dict[str, Policy] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.toml")):
        policy = Reader(path).policy()
        if policy.code in policies:
            raise PolicyError(path.name, "code", f"{policy.code!r} is taken by another file. Choose another.")
        policies[policy.code] = policy
    if not policies:
        where = ", ".join(str(folder) for folder in folders)
        raise PolicyError(where, "the folder", "has no policy (*.toml). Without policies nothing can be judged.")
    ordered = _quieted(_bound([policies[code] for code in sorted(policies)]), shadow)
    content = json.dumps([asdict(policy) for policy in ordered], sort_keys=True)
    return PolicySet(ordered, hashlib.sha256(content.encode()).hexdigest(), frozenset(shadow))


class Reader:
    """Reads one file; every key is taken once, and what nobody took is a typo."""

    def __init__(self, path: Path) -> None:
        self.file = path.name
        try:
            self.top: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise PolicyError(self.file, "the file", f"is not valid TOML: {error}") from error

    def policy(self) -> Policy:
        top = self.top
        code = self.text(top, "code")
        if not all(part.isidentifier() for part in code.split(".")):
            raise PolicyError(self.file, "code", f"must be words joined by dots, not {code!r}.")
        severity = self.text(top, "severity")
        if severity not in SEVERITIES:
            raise PolicyError(self.file, "severity", f"is {severity!r}; known are {', '.join(SEVERITIES)}.")
        titles = self.texts(top, "title")
        policy = Policy(
            code=code,
            severity=SEVERITIES[severity],
            title=titles["en"],
            titles=titles,
            statement=self.texts(top, "statement"),
            remedy=self.texts(top, "remedy"),
            words=(words := self.words(top.pop("words", None))),
            concept=(concept := self.concept(top.pop("concept", None))),
            meaning=(meaning := self.meaning(top.pop("meaning", None))),
            thresholds=self.thresholds(top.pop("thresholds", []), code, words),
            combinations=self.combinations(top.pop("combinations", [])),
            is_shadow=(mode := self.mode(top)) == "shadow",
            is_context=mode == "context",
            share=self.number(top, "share", "", 0, 1) if "share" in top else 1.0,
            categories=self.categories(top.pop("categories", [])),
            acknowledge=self.texts(top, "acknowledge") if "acknowledge" in top else None,
        )
        self.end(top, "")
        if policy.acknowledge and policy.severity > SEVERITIES["low"]:
            raise PolicyError(self.file, "acknowledge", "is for policies of low severity only.")
        if concept and not any(threshold.model == concept.model for threshold in policy.thresholds):
            raise PolicyError(self.file, "concept", f"has no threshold for the model {concept.model}.")
        if meaning and not any(threshold.model == MEANING for threshold in policy.thresholds):
            raise PolicyError(self.file, "meaning", f"has no threshold for the model {MEANING}.")
        if not policy.thresholds and not policy.combinations:
            raise PolicyError(self.file, "thresholds", "are missing, and so are words: it would judge nothing.")
        return policy

    def categories(self, value: Any) -> tuple[str, ...]:
        found = self.list_of_text(value, "categories")
        for name in found:
            if name not in CATEGORIES:
                raise PolicyError(self.file, "categories", f"names {name!r}; known are {', '.join(CATEGORIES)}.")
        return found

    def mode(self, top: dict[str, Any]) -> str:
        value = self.text(top, "mode") if "mode" in top else MODES[0]
        if value not in MODES:
            raise PolicyError(self.file, "mode", f"is {value!r}; known are {', '.join(MODES)}.")
        return value

    def is_shadow(self, row: dict[str, Any], prefix: str) -> bool:
        """Whether a row alone is in shadow."""
        value = self.text(row, "mode", prefix) if "mode" in row else MODES[0]
        if value not in ("active", "shadow"):
            raise PolicyError(self.file, f"{prefix}mode", f"is {value!r}; known are active, shadow.")
        return value == "shadow"

    def text(self, table: dict[str, Any], key: str, prefix: str = "") -> str:
        value = self.take(table, key, prefix)
        if not isinstance(value, str) or not value.strip():
            raise PolicyError(self.file, prefix + key, f"must be a text, not {value!r}.")
        return value.strip()

    def texts(self, table: dict[str, Any], key: str) -> dict[str, str]:
        """A text in each language."""
        inner = self.take(table, key, "")
        if not isinstance(inner, dict):
            raise PolicyError(self.file, key, f"must have a text for each of {', '.join(LANGUAGES)}.")
        found = {language: self.text(inner, language, f"{key}.") for language in LANGUAGES}
        self.end(inner, f"{key}.")
        return found

    def take(self, table: dict[str, Any], key: str, prefix: str) -> Any:
        if key not in table:
            raise PolicyError(self.file, prefix + key, "is missing.")
        return table.pop(key)

    def end(self, table: Mapping[str, Any], prefix: str) -> None:
        for key in table:
            raise PolicyError(self.file, prefix + key, "is not known. Is it a typo?")

    def list_of_text(self, value: Any, key: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise PolicyError(self.file, key, "must be a list of texts.")
        return tuple(value)

    def words(self, table: Any) -> Words | None:
        if table is None:
            return None
        found = {key: self.list_of_text(table.pop(key, []), f"words.{key}") for key in ("review", "block", "harmless")}
        together = table.pop("together", [])
        if not isinstance(together, list) or len(together) == 1:
            raise PolicyError(self.file, "words.together", "must be two or more lists of texts.")
        groups = tuple(self.list_of_text(group, "words.together") for group in together)
        names = table.pop("names", "")
        if names not in ("", *REGISTRIES):
            raise PolicyError(self.file, "words.names", f"is {names!r}; known are {', '.join(REGISTRIES)}.")
        self.end(table, "words.")
        return Words(**found, together=groups, names=names)

    def concept(self, table: Any) -> Concept | None:
        if table is None:
            return None
        concept = Concept(
            exemplars=self.list_of_text(self.take(table, "exemplars", "concept."), "concept.exemplars"),
            lookalikes=self.list_of_text(self.take(table, "lookalikes", "concept."), "concept.lookalikes"),
            bias=self.number(table, "bias", "concept.", -2, 2),
            temperature=self.number(table, "temperature", "concept.", 1e-4, 10),
            model=self.text(table, "model", "concept.") if "model" in table else HOUSE_CLIP,
        )
        self.end(table, "concept.")
        return concept

    def meaning(self, table: Any) -> Meaning | None:
        if table is None:
            return None
        names = ("exemplars", "neighbours")
        found = {name: self.list_of_text(self.take(table, name, "meaning."), f"meaning.{name}") for name in names}
        self.end(table, "meaning.")
        return Meaning(**found)

    def number(self, table: dict[str, Any], key: str, prefix: str, least: float, most: float) -> float:
        value = self.take(table, key, prefix)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise PolicyError(self.file, prefix + key, f"must be a number, not {value!r}.")
        if not least <= value <= most:
            raise PolicyError(self.file, prefix + key, f"must be from {least:g} to {most:g}, not {value:g}.")
        return float(value)

    def thresholds(self, rows: Any, code: str, words: Words | None) -> tuple[Threshold, ...]:
        if not isinstance(rows, list):
            raise PolicyError(self.file, "thresholds", "must be a list of tables, [[thresholds]].")
        found = [self.threshold(row) for row in rows]
        if words is not None:
            # The lexicon's own scale: 0 nothing, 0.6 a word to review, 1 a word to block. What is read in a picture
            # never blocks: letters are misread, and who quotes a word does not always ask for what it says.
            found.append(Threshold(code, LEXICON, "", ("prompt",), review=0.5, block=0.9))
            found.append(Threshold(code, TEXT, READER_VERSION, PICTURES, review=0.5, block=None))
        found += [
            Threshold(one.signal, TEXT_MEANING, one.version, PICTURES, one.review, None, one.is_shadow)
            for one in found
            if one.model == MEANING and "prompt" in one.subjects
        ]
        return tuple(found)

    def subjects(self, row: dict[str, Any], prefix: str) -> tuple[str, ...]:
        found = self.list_of_text(self.take(row, "subjects", prefix), f"{prefix}subjects")
        for subject in found:
            if subject not in SUBJECTS:
                raise PolicyError(
                    self.file, f"{prefix}subjects", f"names {subject!r}; known are {', '.join(SUBJECTS)}."
                )
        return found

    def combinations(self, rows: Any) -> tuple[Combination, ...]:
        if not isinstance(rows, list):
            raise PolicyError(self.file, "combinations", "must be a list of tables, [[combinations]].")
        return tuple(self.combination(row) for row in rows)

    def combination(self, row: dict[str, Any]) -> Combination:
        prefix = "combinations."
        action = self.text(row, "action", prefix)
        if action not in ACTIONS:
            raise PolicyError(self.file, f"{prefix}action", f"is {action!r}; known are {', '.join(ACTIONS)}.")
        conditions = self.take(row, "all", prefix)
        if not isinstance(conditions, list) or len(conditions) < 2:
            raise PolicyError(self.file, f"{prefix}all", "must be two or more signals; one alone is a threshold.")
        found = Combination(
            subjects=self.subjects(row, prefix),
            action="block" if action == "block" else "review",
            conditions=tuple(self.condition(one, f"{prefix}all.") for one in conditions),
            is_shadow=self.is_shadow(row, prefix),
        )
        self.end(row, prefix)
        return found

    def condition(self, row: Any, prefix: str) -> Condition:
        if not isinstance(row, dict):
            raise PolicyError(self.file, prefix.rstrip("."), "must be tables: signal, model, at_least.")
        condition = Condition(
            signal=self.text(row, "signal", prefix),
            model=self.text(row, "model", prefix),
            version=self.text(row, "version", prefix) if "version" in row else "",
            at_least=self.number(row, "at_least", prefix, 0, 1),
        )
        self.end(row, prefix)
        return condition

    def threshold(self, row: dict[str, Any]) -> Threshold:
        prefix = "thresholds."
        threshold = Threshold(
            signal=self.text(row, "signal", prefix),
            model=self.text(row, "model", prefix),
            version=self.text(row, "version", prefix),
            subjects=self.subjects(row, prefix),
            review=self.number(row, "review", prefix, 0, 1),
            block=self.number(row, "block", prefix, 0, 1) if "block" in row else None,
            is_shadow=self.is_shadow(row, prefix),
        )
        self.end(row, prefix)
        if threshold.block is not None and threshold.review > threshold.block:
            raise PolicyError(self.file, "thresholds.review", "must not lie above thresholds.block.")
        return threshold


def _bound(policies: list[Policy]) -> tuple[Policy, ...]:
    """Conditions that name no version are bound to that of a threshold on the same signal, or on the same model."""
    known = {(one.signal, one.model): one.version for policy in policies for one in policy.thresholds if one.version}
    by_model = {model: version for (_, model), version in known.items()}

    def bound(one: Condition) -> Condition:
        return replace(one, version=one.version or known.get((one.signal, one.model)) or by_model.get(one.model, ""))

    def whole(one: Combination) -> Combination:
        return replace(one, conditions=tuple(map(bound, one.conditions)))

    return tuple(replace(policy, combinations=tuple(map(whole, policy.combinations))) for policy in policies)


def _quieted(policies: tuple[Policy, ...], shadow: Collection[str]) -> tuple[Policy, ...]:
    """With every threshold on these models in shadow, and every combination that asks one of them."""
    asked = {one.model for policy in policies for one in policy.thresholds}
    asked |= {one.model for policy in policies for combination in policy.combinations for one in combination.conditions}
    if unknown := sorted(set(shadow) - asked):
        what = f"names {', '.join(unknown)}, which no policy asks; asked are {', '.join(sorted(asked))}."
        raise PolicyError("the settings", "SHADOW_CLASSIFIERS", what)

    def whole(one: Combination) -> Combination:
        return replace(one, is_shadow=one.is_shadow or any(each.model in shadow for each in one.conditions))

    return tuple(
        replace(
            policy,
            thresholds=tuple(replace(one, is_shadow=one.is_shadow or one.model in shadow) for one in policy.thresholds),
            combinations=tuple(map(whole, policy.combinations)),
        )
        for policy in policies
    )
