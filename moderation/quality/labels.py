"""Scores with what people found: from the desk, from second looks, or from a folder of labelled pictures."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from moderation.models import Case, Decision, Screening, SecondLook, Signal
from moderation.policy import PolicySet
from moderation.quality.calibration import Key, Labelled

if TYPE_CHECKING:
    from moderation.classifiers.armoury import Armoury

AT_ONCE = 500
HARMLESS = "harmless"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


def of_the_desk(since: datetime) -> Iterator[Labelled]:
    """Pictures and films that were held and that a moderator decided. A refusal is of the one policy that it names."""
    decided = Decision.objects.filter(
        created_at__gte=since, case__subject=Case.Subject.MEDIUM, actor_kind=Decision.ActorKind.MODERATOR,
        from_state=Case.State.IN_REVIEW, screening__isnull=False,
    )  # fmt: skip
    found = decided.values_list("screening_id", "to_state", "policy_code").iterator()
    yield from _scored((screening, code if to == "refused" else "", 1.0) for screening, to, code in found)


def of_second_looks(since: datetime) -> Iterator[Labelled]:
    """Samples of what was released, each for as many as it stands for."""
    looks = SecondLook.objects.filter(sample__at__gte=since).select_related("sample")
    for look in looks.iterator():
        last = Screening.objects.filter(case=look.sample.case_id, at__lte=look.sample.at).order_by("-pk").first()
        if last is not None:
            yield from _scored(iter([(last.pk, look.policy_code, 1 / look.sample.probability)]))


def _scored(found: Iterator[tuple[int, str, float]]) -> Iterator[Labelled]:
    """Every score that a policy reads in these screenings, some hundred screenings at a time."""
    while batch := {
        screening: (code, weight) for (screening, code, weight), _ in zip(found, range(AT_ONCE), strict=False)
    }:
        rows = Signal.objects.filter(screening__in=batch, score__isnull=False).exclude(policy_code="")
        for screening, policy, name, model, version, score in rows.values_list(
            "screening_id", "policy_code", "name", "model", "version", "score"
        ):
            code, weight = batch[screening]
            if score is not None:
                yield Labelled(Key(policy, name, model, version), score, policy == code, weight)


def of_a_folder(folder: Path, armoury: "Armoury", policies: PolicySet) -> Iterator[Labelled]:
    """Pictures in FOLDER/<policy code>/ show what that policy seeks, those in FOLDER/harmless/ what none does.

    Raises ValueError for a folder that is neither, and for a file that is no picture.
    """
    thresholds = tuple(policies.thresholds("medium"))
    known = {policy.code for policy in policies} | {HARMLESS}
    for label in sorted(path for path in folder.iterdir() if path.is_dir()):
        if label.name not in known:
            raise ValueError(f"{label} is named after no policy: folders are {', '.join(sorted(known))}.")
        for path in sorted(label.rglob("*")):
            if path.suffix.lower() not in SUFFIXES:
                continue
            try:
                with Image.open(path) as opened:
                    picture = opened.convert("RGB")
            except (OSError, Image.DecompressionBombError) as error:
                raise ValueError(f"{path} cannot be read as a picture: {error}") from error
            (signals,) = armoury.screen_pictures([picture])
            said = {(one.name, one.model): one for one in signals}
            for policy, threshold in thresholds:
                signal = said.get((threshold.signal, threshold.model))
                if signal is not None and label.name in (HARMLESS, policy.code):
                    key = Key(policy.code, signal.name, signal.model, signal.version)
                    yield Labelled(key, signal.score, label.name == policy.code)
