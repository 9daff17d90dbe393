"""What the desk shows beside a picture: the signals as bars, and the facts of the case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moderation.models import Case, Screening, Upload

# The bar's length in the units of its SVG.
LENGTH = 200


@dataclass(frozen=True)
class Bar:
    """One signal, drawn. Lengths are in the SVG's units, as text: templates must not put commas into them."""

    name: str
    policy_code: str
    score: str
    length: str
    tick: str
    over: bool
    model: str


@dataclass(frozen=True)
class Fact:
    """One line of the case's portrait."""

    name: str
    value: str


def bars(screening: Screening | None) -> list[Bar]:
    """The signals of a screening, those over their threshold first, then the highest."""
    if screening is None:
        return []
    drawn = [_bar(signal) for signal in screening.signals.all()]
    return sorted(drawn, key=lambda bar: (not bar.over, -float(bar.length), bar.name))


def _bar(signal: Any) -> Bar:
    threshold = signal.threshold
    missing = signal.score is None
    return Bar(
        name=signal.name,
        policy_code=signal.policy_code,
        score=signal.fault if missing else f"{signal.score:.2f}",
        length=f"{0 if missing else LENGTH * min(max(signal.score, 0), 1):.1f}",
        tick="" if threshold is None else f"{LENGTH * min(max(threshold, 0), 1):.1f}",
        # A score that is no number counts as over: it asked for a person.
        over=missing or (threshold is not None and signal.score >= threshold),
        model=f"{signal.model} {signal.version[:12]}",
    )


def is_film(case: Case) -> bool:
    """Whether it is about a film."""
    if case.subject == Case.Subject.UPLOAD:
        return case.upload.kind == "film"
    return bool(case.evidence.get("fps"))


def portrait(case: Case) -> list[Fact]:
    """The facts that a moderator needs, each in a word."""
    evidence = case.evidence
    facts = [Fact("Model", str(evidence.get("model", "")))]
    if case.subject == Case.Subject.UPLOAD:
        facts += _brought(case.upload)
    elif case.subject == Case.Subject.MEDIUM:
        facts += [
            Fact("Drawn", f"{evidence.get('width')} × {evidence.get('height')}"),
            Fact("Released as", f"{evidence.get('release_width')} × {evidence.get('release_height')}"),
            Fact("Seed", str(evidence.get("seed", ""))),
            Fact("Original", str(evidence.get("original_sha256", ""))[:16]),
        ]
        if evidence.get("fps"):
            facts.append(Fact("Film", f"{evidence['frames']} frames, {evidence['frames'] / evidence['fps']:g} s"))
        facts += [Fact("Starts from", words) for words in evidence.get("goes_in", [])]
        if evidence.get("strength") is not None:
            facts.append(Fact("Strength", f"{evidence['strength']:g}"))
    if case.derivative_sha256 and case.subject == Case.Subject.MEDIUM:
        facts.append(Fact("For release", case.derivative_sha256[:16]))
        facts.append(Fact("They differ by", f"{case.derivative_distance} of 64 bits"))
    return [fact for fact in facts if fact.value]


def _credentials(record: Mapping[str, Any]) -> str:
    """What the credentials of a file say; of whom, and whether it is true, nobody checked."""
    if not record.get("has_credentials"):
        return "none"
    source = record.get("source")
    return f"it carries some, which say {source}" if source else "it carries some"


def _brought(upload: Upload) -> list[Fact]:
    """What is known of a file that somebody brought."""
    record = upload.record
    agreed = "they agreed, says who brought it" if upload.case.evidence.get("attested") else "nothing was said"
    facts = [Fact("Brought as", f"a {upload.get_role_display()}"), Fact("File", upload.sha256[:16])]
    if upload.role in (Upload.Role.PICTURE, Upload.Role.FILM):
        facts.append(Fact("People in it", agreed))
    if not record:
        return facts
    camera = record.get("camera", {})
    told = [str(camera[name]) for name in ("make", "model", "software") if camera.get(name)]
    facts += [
        Fact("Format", f"{record['format']}, {record['width']} × {record['height']}, {upload.bytes:,} bytes"),
        Fact("Camera", f"{' '.join(told)}{', with a time' if camera.get('taken') else ''}" if told else "says nothing"),
        Fact("Content credentials", _credentials(record)),
    ]
    if record.get("frames"):
        facts.append(Fact("Film", f"{record['frames']} frames, {record['seconds']:g} s"))
    return facts
