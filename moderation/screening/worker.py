"""The sieve: what the screening process does with waiting cases. Never imported by the web process."""

import logging
import time
from collections.abc import Sequence
from typing import Any, cast

from django.conf import settings
from django.db import OperationalError

from journal import files
from journal.failpoints import failpoint
from journal.transactions import step
from moderation import derivative, registry, sweep
from moderation.actions import CannotRelease, CaseTaken, Ruling, clear, hold, refuse
from moderation.actions.uploads import erase
from moderation.classifiers.armoury import SAMPLE_PROMPT, Armoury, sample_picture
from moderation.derivative import Derivative
from moderation.models import Case, Decision, Screening
from moderation.policy import PolicySet
from moderation.rules import policies
from moderation.screening.leases import Batch, beating, claim, note_fault, put_back
from moderation.screening.looking import beside, look, required
from moderation.screening.marks import signer, watermark
from moderation.screening.originals import Original, Unfit, Unreadable
from moderation.screening.pictures import read_original
from moderation.screening.records import keep, sentence
from moderation.signals import ItemFault, MachineryFault, Signal
from moderation.verdict import Verdict, judge

log = logging.getLogger(__name__)

# What is wrong with a host and not with what it screens: memory, disks, networks, the database.
_MACHINERY = (MemoryError, OSError, OperationalError, files.StoreFull, files.StoreAway)

# An original, or a prompt with its negative prompt.
Subject = Original | tuple[str, str]


def screen_waiting(armoury: Armoury, worker: str) -> int:
    """Screen until nothing waits, or until the shift is over; then ask to be woken again.

    Returns how many cases were decided or held. A fault of the machinery ends it, and counts against no case.

    1. Claim a batch under a lease.
    2. Outside any transaction: read the files, run the classifiers, make what would be released.
    3. Each case moves in a transaction of its own, if the lease is still ours.

    Safe to run in any number of processes, and to kill anywhere: what was claimed comes back when its lease ends.
    """
    moved, sieve = 0, _Sieve(armoury)
    end = time.monotonic() + settings.SHIFT_SECONDS
    try:
        while batch := claim(worker):
            with beating(batch):
                moved += sieve.run(batch)
            if time.monotonic() >= end:
                sweep.wake_if_waiting()
                break
    except MachineryFault as fault:
        log.error("screening stops until it is woken again: %s", fault)
    return moved


class _Sieve:
    """The sieve for one shift."""

    def __init__(self, armoury: Armoury) -> None:
        self.armoury = armoury
        self.batch: Batch

    def run(self, batch: Batch) -> int:
        """Screen a batch. Returns how many cases were decided or held. Raises MachineryFault, all put back."""
        self.batch = batch
        moved, waiting = 0, []
        try:
            for case in batch.cases:
                try:
                    waiting.append((case, _subject(case)))
                except Unfit as fault:
                    moved += self.unfit(case, str(fault))
                except Unreadable as fault:
                    moved += self.failed(case, str(fault))
            return moved + self.screen(waiting)
        except (MachineryFault, *_MACHINERY) as fault:
            for case in batch.cases:
                put_back(case, batch.token, counted=False)
            raise MachineryFault(f"{type(fault).__name__}: {fault}") from fault

    def screen(self, waiting: Sequence[tuple[Case, Subject]]) -> int:
        """Screen these together; if one chokes the classifiers, each by itself."""
        if not waiting:
            return 0
        try:
            found = self.classify([subject for _, subject in waiting])
            known = beside(self.armoury, [case for case, _ in waiting])
            found = [[*signals, *more] for signals, more in zip(found, known, strict=True)]
        except ItemFault as fault:
            # The others go on without it, at once.
            case, subject = waiting[fault.index]
            others = [*waiting[: fault.index], *waiting[fault.index + 1 :]]
            return self.failed(case, fault.why, subject) + self.screen(others)
        except (MachineryFault, *_MACHINERY):
            raise
        except Exception as error:
            # Not a fault that we know. Whose it is, a harmless sample tells.
            self.check_sample(error)
            log.exception("screening of %d cases failed", len(waiting))
            if len(waiting) > 1:
                return sum(self.screen([one]) for one in waiting)
            case, subject = waiting[0]
            return self.failed(case, f"{type(error).__name__}: {error}", subject)
        return sum(self.decide(case, subject, signals) for (case, subject), signals in zip(waiting, found, strict=True))

    def check_sample(self, error: Exception) -> None:
        """Raises MachineryFault if the classifiers fail over what is known to be sound as well."""
        try:
            if self.batch.subject == Case.Subject.PROMPT:
                self.armoury.screen_prompts([SAMPLE_PROMPT])
            else:
                self.armoury.screen_pictures([sample_picture()])
                self.armoury.named([SAMPLE_PROMPT[0]])
        except Exception as again:
            log.exception("the classifiers fail over a harmless sample as well")
            raise MachineryFault(f"{type(again).__name__}: {again}") from error

    def classify(self, subjects: Sequence[Subject]) -> list[list[Signal]]:
        """Every classifier over every subject."""
        failpoint("screen.before_gate")
        registry.refresh()
        found = (
            self.armoury.screen_prompts(cast(Sequence[tuple[str, str]], subjects))
            if self.batch.subject == Case.Subject.PROMPT
            else look(self.armoury, cast(Sequence[Original], subjects))
        )
        failpoint("screen.after_gate")
        if len(found) != len(subjects):
            raise MachineryFault(f"{len(found)} answers came for {len(subjects)} subjects")
        return found

    def decide(self, case: Case, subject: Subject, signals: Sequence[Signal]) -> bool:
        """Let the policies speak, and move the case. False if it went back to wait, or is no longer ours."""
        house = policies()
        verdict = judge(
            house,
            case.subject,
            signals,
            required(self.armoury, case.subject),
            key=str(case.key),
            acknowledged=case.evidence.get("acknowledged", ()),
        )
        try:
            screening = self.record(case, subject, signals, verdict, house)
            made = self.derive(case, subject) if verdict.outcome != "block" else None
            self.move(case, screening, verdict, made, subject)
        except CaseTaken:
            log.info("case %s is no longer ours", case.pk)
            return False
        except (MachineryFault, *_MACHINERY):
            raise
        except Exception as error:
            log.exception("case %s could not be moved", case.pk)
            return self.failed(case, f"{type(error).__name__}: {error}", subject)
        return True

    def record(
        self, case: Case, subject: Subject, signals: Sequence[Signal], verdict: Verdict, house: PolicySet
    ) -> Screening:
        """Keep what the classifiers said, if the lease is still ours. Raises CaseTaken."""
        views = [view.where for view in subject.views] if isinstance(subject, Original) else []
        with step("screen.record"):
            self.still_ours(case)
            return keep(case, signals, verdict, house, views=views, worker=self.batch.worker)

    def derive(self, case: Case, subject: Subject) -> Derivative | None:
        """What would be released, or, of an upload, shown to who brought it; None for a prompt."""
        if not isinstance(subject, Original):
            return None
        folder = str(self.batch.token)
        if case.subject == Case.Subject.UPLOAD:
            return derivative.make(subject, case.evidence, folder=f"{case.upload.folder}/{folder}", signer=None)
        mark = watermark() if case.evidence.get("is_photographic") else None
        return derivative.make(subject, case.evidence, folder=folder, signer=signer(), watermark=mark)

    def move(
        self, case: Case, screening: Screening, verdict: Verdict, made: Derivative | None, subject: Subject
    ) -> None:
        """Clear, hold or refuse. Raises CaseTaken when the lease was lost."""
        fence = {"lease_token": self.batch.token}
        codes = list(dict.fromkeys(trigger.policy_code for trigger in verdict.triggers if trigger.policy_code))
        fields: dict[str, Any] = {
            "screened_at": screening.at,
            "severity": verdict.severity,
            "policy_codes": codes,
            "findings": [
                *({"sentence": sentence(trigger)} for trigger in verdict.triggers),
                *({"sentence": f"In shadow, moving nothing: {sentence(trigger)}"} for trigger in verdict.shadow),
                *({"sentence": f"The person answers for it: {sentence(one)}"} for one in verdict.acknowledged),
            ],
        }
        if made is not None:
            fields |= made.fields()
        elif isinstance(subject, Original):
            # Nothing of it is released, and what it looks like is remembered where the refusal is severe.
            fields["derivative_traces"] = [list(trace) for trace in subject.traces]
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

    def unfit(self, case: Case, sentence: str) -> bool:
        """An upload that is not taken: refused, and nothing of it is kept. False if it is no longer ours."""
        ruling = Ruling(kind=Decision.ActorKind.MACHINE, reason=sentence, policy_version=policies().version)
        try:
            refuse(case, ruling, fence={"lease_token": self.batch.token})
        except CaseTaken:
            return False
        erase(case.upload)
        return True

    def failed(self, case: Case, why: str, subject: Subject | None = None) -> bool:
        """One item's own fault: it is tried again alone, and after enough attempts a person is asked, unscreened.

        A picture that can be read gets its file for release, so that the person may release it. True when it was held.
        """
        token = self.batch.token
        fields = self.derive_unscreened(case, subject) if case.attempts >= settings.MOST_ATTEMPTS else {}
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
            hold(case, ruling, fence={"lease_token": token}, fields=fields)
        return True

    def derive_unscreened(self, case: Case, subject: Subject | None) -> dict[str, Any]:
        """The file for release of what could not be judged; none where even that fails."""
        try:
            made = self.derive(case, subject) if subject is not None else None
        except (MachineryFault, *_MACHINERY):
            raise
        except Exception:
            log.exception("no file for release could be made of case %s", case.pk)
            return {}
        return made.fields() if made is not None and made.is_faithful else {}

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
    return read_original(case)


def _reason(verdict: Verdict) -> str:
    """The decision's reason. It is audited, so it names policies and signals but no words of the prompt."""
    if not verdict.triggers:
        return "no policy asked"
    reasons = [
        f"{one.policy_code or one.signal} {one.action}{f': {one.why}' if one.why else ''}" for one in verdict.triggers
    ]
    return "; ".join(dict.fromkeys(reasons))[:500]


def _because(ruling: Ruling, why: str) -> Ruling:
    return Ruling(
        kind=ruling.kind,
        reason=f"held, because {why}"[:500],
        policy_code=ruling.policy_code,
        policy_version=ruling.policy_version,
        verdict=ruling.verdict,
        screening=ruling.screening,
    )
