"""The sieve: what the screening process does with waiting cases. Never imported by the web process."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from django.conf import settings
from PIL import Image

from journal import files
from journal.failpoints import failpoint
from journal.transactions import step
from moderation import derivative
from moderation.actions import CannotRelease, CaseTaken, Ruling, clear, hold, refuse
from moderation.classifiers.armoury import Armoury
from moderation.derivative import Derivative
from moderation.models import Case, Decision, Screening
from moderation.models import Signal as SignalRow
from moderation.policy import PolicySet
from moderation.rules import in_words, policies
from moderation.screening.leases import Batch, claim, note_fault, put_back
from moderation.screening.pictures import Unreadable, read_original
from moderation.signals import ItemFault, MachineryFault, Signal
from moderation.verdict import Trigger, Verdict, judge

log = logging.getLogger(__name__)

# A picture, or a prompt with its negative prompt.
Subject = Image.Image | tuple[str, str]


def screen_waiting(armoury: Armoury, worker: str) -> int:
    """Screen until nothing waits. Returns how many cases were decided or held.

    1. Claim a batch under a lease.
    2. Outside any transaction: read the files, run the classifiers, make what would be released.
    3. Each case moves in a transaction of its own, if the lease is still ours.

    Safe to run in any number of processes, and to kill anywhere: what was claimed comes back when its lease ends.
    """
    moved = 0
    while batch := claim(worker):
        moved += _Sieve(armoury, batch).run()
    return moved


@dataclass(frozen=True)
class _Sieve:
    armoury: Armoury
    batch: Batch

    def run(self) -> int:
        waiting: list[tuple[Case, Subject]] = []
        moved = 0
        for case in self.batch.cases:
            try:
                waiting.append((case, _subject(case)))
            except Unreadable as fault:
                moved += self.failed(case, str(fault))
        while waiting:
            try:
                found = self.classify([subject for _, subject in waiting])
            except ItemFault as fault:
                # The others go on without it, at once.
                case, _ = waiting.pop(fault.index)
                moved += self.failed(case, fault.why)
                continue
            except MachineryFault as fault:
                log.warning("screening stopped, nothing counts against the %d cases: %s", len(waiting), fault)
                self.put_all_back(waiting, counted=False)
                break
            except Exception as error:
                # Not one of the faults we know: whose it is shows when each is screened alone.
                log.exception("screening of %d cases failed", len(waiting))
                if len(waiting) == 1:
                    moved += self.failed(waiting[0][0], f"{type(error).__name__}: {error}")
                else:
                    self.put_all_back(waiting, counted=True)
                break
            for (case, subject), signals in zip(waiting, found, strict=True):
                moved += self.decide(case, subject, signals)
            break
        return moved

    def classify(self, subjects: Sequence[Subject]) -> list[list[Signal]]:
        """Every classifier over every subject."""
        failpoint("screen.before_gate")
        found = (
            self.armoury.screen_prompts(cast(Sequence[tuple[str, str]], subjects))
            if self.batch.subject == Case.Subject.PROMPT
            else self.armoury.screen_pictures(cast(Sequence[Image.Image], subjects))
        )
        failpoint("screen.after_gate")
        if len(found) != len(subjects):
            raise MachineryFault(f"{len(found)} answers came for {len(subjects)} subjects")
        return found

    def decide(self, case: Case, subject: Subject, signals: Sequence[Signal]) -> bool:
        """Let the policies speak, and move the case. False if it went back to wait, or is no longer ours."""
        house = policies()
        verdict = judge(house, case.subject, signals, self.armoury.required(case.subject))
        try:
            screening = self.record(case, signals, verdict, house)
            made = self.derive(case, subject) if verdict.outcome != "block" else None
            self.move(case, screening, verdict, made)
        except CaseTaken:
            log.info("case %s is no longer ours", case.pk)
            return False
        except files.StoreFull as error:
            log.warning("the released store is full: %s", error)
            put_back(case, self.batch.token, counted=False)
            return False
        except Exception as error:
            log.exception("case %s could not be moved", case.pk)
            return self.failed(case, f"{type(error).__name__}: {error}")
        return True

    def record(self, case: Case, signals: Sequence[Signal], verdict: Verdict, house: PolicySet) -> Screening:
        """Keep what the classifiers said, if the lease is still ours. Raises CaseTaken."""
        rows = _rows(case.subject, signals, house)
        with step("screen.record"):
            self.still_ours(case)
            screening = Screening.objects.create(
                case=case,
                attempt=case.attempts,
                verdict=verdict.outcome,
                policy_version=house.version,
                worker=self.batch.worker[:128],
                signals_sha256=_digest(rows),
            )
            for row in rows:
                row.screening = screening
            SignalRow.objects.bulk_create(rows)
        return screening

    def derive(self, case: Case, subject: Subject) -> Derivative | None:
        """What would be released; None for what is not a medium."""
        if case.subject != Case.Subject.MEDIUM or not isinstance(subject, Image.Image):
            return None
        return derivative.make(subject, case.evidence, folder=str(self.batch.token))

    def move(self, case: Case, screening: Screening, verdict: Verdict, made: Derivative | None) -> None:
        """Clear, hold or refuse. Raises CaseTaken when the lease was lost."""
        fence = {"lease_token": self.batch.token}
        codes = list(dict.fromkeys(trigger.policy_code for trigger in verdict.triggers if trigger.policy_code))
        fields: dict[str, Any] = {
            "screened_at": screening.at,
            "severity": verdict.severity,
            "policy_codes": codes,
            "findings": [{"sentence": _sentence(trigger)} for trigger in verdict.triggers],
        }
        if made is not None:
            fields |= made.fields()
        ruling = Ruling(
            kind=Decision.ActorKind.MACHINE,
            reason=_reason(verdict),
            policy_code=codes[0] if codes else "",
            policy_version=screening.policy_version,
            verdict="unscreened" if verdict.is_unscreened else verdict.outcome,
            screening=screening,
        )
        if verdict.outcome == "block":
            refuse(case, ruling, fence=fence, fields=fields, severe=verdict.severity >= Case.SEVERE)
        elif verdict.outcome != "clear":
            hold(case, ruling, fence=fence, fields=fields)
        elif made is not None and not made.is_faithful:
            why = f"the file for release differs from the original by {made.distance} of 64 bits"
            hold(case, _because(ruling, why), fence=fence, fields=fields)
        else:
            try:
                clear(case, ruling, fence=fence, fields=fields)
            except CannotRelease as error:
                hold(case, _because(ruling, error.why), fence=fence, fields=fields)

    def failed(self, case: Case, why: str) -> bool:
        """One item's own fault: it is tried again alone, and after enough attempts a person is asked, unscreened.

        True when it was held.
        """
        token = self.batch.token
        with step("screen.fault"):
            try:
                self.still_ours(case)
            except CaseTaken:
                return False
            screening = note_fault(case, worker=self.batch.worker, fault=why, policy_version=policies().version)
            if case.attempts < settings.MOST_ATTEMPTS:
                put_back(case, token, counted=True)
                return False
            ruling = Ruling(
                kind=Decision.ActorKind.MACHINE,
                reason=f"not screened: {why}"[:500],
                policy_version=screening.policy_version,
                verdict="unscreened",
                screening=screening,
            )
            hold(case, ruling, fence={"lease_token": token})
        return True

    def put_all_back(self, waiting: Sequence[tuple[Case, Subject]], *, counted: bool) -> None:
        for case, _ in waiting:
            put_back(case, self.batch.token, counted=counted)

    def still_ours(self, case: Case) -> None:
        """Lock the case if our lease on it stands. Raises CaseTaken."""
        ours = Case.objects.select_for_update().filter(
            pk=case.pk, state=Case.State.PENDING, lease_token=self.batch.token
        )
        if not ours.exists():
            raise CaseTaken(case)


def _subject(case: Case) -> Subject:
    if case.subject == Case.Subject.PROMPT:
        return case.evidence["prompt"], case.evidence.get("negative_prompt", "")
    return read_original(case.evidence)


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


def _sentence(trigger: Trigger) -> str:
    """One reason for a verdict, for the moderator."""
    policy = policies().named(trigger.policy_code)
    title = in_words(policy.titles) if policy else "Every policy"
    if trigger.action == "unscreened":
        return f"{title}: not screened, {trigger.why}"
    acts = "refuses" if trigger.action == "block" else "asks"
    words = f" by {', '.join(f'“{word}”' for word in trigger.words)}" if trigger.words else ""
    where = f" in {trigger.field}" if trigger.field else ""
    return f"{title} {acts}{words}{where} ({trigger.signal} {trigger.score or 0:.2f} of {trigger.threshold:.2f})"


def _reason(verdict: Verdict) -> str:
    """The decision's reason. It is audited, so it names policies and signals but no words of the prompt."""
    if not verdict.triggers:
        return "no policy asked"
    reasons = [
        f"{one.policy_code or one.signal} {one.action}{f': {one.why}' if one.why else ''}" for one in verdict.triggers
    ]
    return "; ".join(dict.fromkeys(reasons))[:500]


def _digest(rows: Sequence[SignalRow]) -> str:
    lines = sorted(f"{row.name}|{row.score!r}|{row.fault}|{row.model}|{row.version}" for row in rows)
    return sha256("\n".join(lines).encode()).hexdigest()


def _because(ruling: Ruling, why: str) -> Ruling:
    return Ruling(
        kind=ruling.kind,
        reason=f"held, because {why}"[:500],
        policy_code=ruling.policy_code,
        policy_version=ruling.policy_version,
        verdict=ruling.verdict,
        screening=ruling.screening,
    )
