"""Scores with what people found: from the desk, from second looks, or from a folder of labelled pictures."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from django.db.models import OuterRef, Subquery
from PIL import Image

from moderation.models import Case, Decision, Sample, Screening, SecondLook, Signal
from moderation.policy import KNOWN, PolicySet
from moderation.quality.calibration import Key, Labelled
from moderation.signals import ItemFault

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
    before = Screening.objects.filter(case=OuterRef("sample__case"), at__lte=OuterRef("sample__at")).order_by("-pk")
    drawn = Sample.objects.by_chance().filter(at__gte=since)
    looks = SecondLook.objects.filter(sample__in=drawn).annotate(screening=Subquery(before.values("pk")[:1]))
    found = looks.filter(screening__isnull=False).values_list("screening", "policy_code", "sample__probability")
    yield from _scored((screening, code, 1 / probability) for screening, code, probability in found.iterator())


def _scored(found: Iterator[tuple[int, str, float]]) -> Iterator[Labelled]:
    """Every score that a policy reads in these screenings, some hundred screenings at a time.

    How near a known picture is, is no matter of calibration: from where on it is one, the hash's makers say.
    """
    while batch := {screening: (code, weight) for screening, code, weight in islice(found, AT_ONCE)}:
        rows = Signal.objects.filter(screening__in=batch).exclude(policy_code="").exclude(model=KNOWN)
        for screening, policy, name, model, version, score in rows.values_list(
            "screening_id", "policy_code", "name", "model", "version", "score"
        ):
            code, weight = batch[screening]
            if score is not None:
                yield Labelled(Key(policy, name, model, version), score, policy == code, weight)


def of_a_folder(folder: Path, armoury: "Armoury", policies: PolicySet) -> Iterator[Labelled]:
    """Pictures in FOLDER/<policy code>/ show what that policy seeks, those in FOLDER/harmless/ what none does.

    Raises ValueError for a folder that is neither, and for a file that is no picture or that cannot be judged.
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
            try:
                (signals,) = armoury.screen_pictures([picture])
            except ItemFault as fault:
                raise ValueError(f"{path} cannot be judged: {fault.why}. Take it out.") from fault
            said = {(one.name, one.model): one for one in signals}
            for policy, threshold in thresholds:
                signal = said.get((threshold.signal, threshold.model))
                if signal is not None and label.name in (HARMLESS, policy.code):
                    key = Key(policy.code, signal.name, signal.model, signal.version)
                    yield Labelled(key, signal.score, label.name == policy.code)
