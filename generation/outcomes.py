"""What happens with a decision: credits move, and the job moves on. Called inside the deciding transaction."""

from accounts.models import User
from billing import ledger
from generation.actions import jobs
from generation.actions.inputs import waiting_for
from generation.models import Job, Medium, Turn
from generation.turns import line_up, lock_turn
from journal import outbox
from journal.events import announce
from journal.transactions import require_transaction
from moderation.models import Case, Decision


class MediaOutcome:
    """The one implementation of moderation's CaseOutcome."""

    def cleared(self, case: Case, decision: Decision) -> None:
        """A prompt or an upload: its jobs start, if nothing else is missing. A medium: its hold is captured."""
        if case.subject != Case.Subject.MEDIUM:
            for job in self._jobs_of(case):
                jobs.start(job, reason="everything that goes in was cleared")
            return
        medium, job = self._locked(case)
        ledger.capture(medium.cause)
        jobs.settle(job)
        announce("job", str(job.pk))

    def refused(self, case: Case, decision: Decision) -> None:
        """A prompt or an upload: its jobs end. A medium: its hold is given back."""
        if case.subject == Case.Subject.PROMPT:
            jobs.refuse(self._job_of_prompt(case), reason=f"its prompt was refused: {decision.policy_code}")
            return
        if case.subject == Case.Subject.UPLOAD:
            noun = case.upload.get_role_display()
            why = f"the {noun} was refused"
            told = decision.policy_code or decision.actor_kind != Decision.ActorKind.MACHINE
            sentence = f"{why.capitalize()}." if told else decision.reason
            for job in self._jobs_of(case):
                jobs.refuse(job, reason=why, sentence=f"{sentence} You were not charged.")
            return
        medium, job = self._locked(case)
        ledger.release(medium.cause, reason=f"refused: {decision.policy_code or decision.reason}"[:200])
        jobs.settle(job)
        announce("job", str(job.pk))

    def held(self, case: Case, decision: Decision) -> None:
        """A person has to look."""
        if case.subject != Case.Subject.MEDIUM:
            what = "prompt" if case.subject == Case.Subject.PROMPT else case.upload.get_role_display()
            for job in self._jobs_of(case):
                job.move({Job.State.CHECKING}, Job.State.IN_REVIEW, reason=f"its {what} waits for a person")
            return
        _, job = self._locked(case)
        jobs.settle(job)
        announce("job", str(job.pk))

    def withdrawn(self, case: Case, decision: Decision) -> None:
        """Taken back after release: it is dark at once, since showing is a join to the case."""
        if case.subject == Case.Subject.MEDIUM:
            _, job = self._locked(case)
            announce("job", str(job.pk))

    def frozen(self, person: User, frozen: bool) -> None:
        """Stop or resume drawing what the person has in line."""
        turn = lock_turn(person.pk)
        Turn.objects.filter(pk=turn.pk).update(frozen=frozen)
        turn.frozen = frozen
        # Whoever comes back from a freeze saved up no turns meanwhile.
        line_up(turn, returning=True if not frozen else None)
        if not frozen:
            outbox.wake("draw")

    def _jobs_of(self, case: Case) -> list[Job]:
        """The jobs that wait for a prompt, or for an upload: several may start from one.

        The person's turn is locked first, so that of two cases decided at once the second sees the first.
        """
        lock_turn(case.person_id)
        return [self._job_of_prompt(case)] if case.subject == Case.Subject.PROMPT else waiting_for(case.upload)

    @staticmethod
    def _job_of_prompt(case: Case) -> Job:
        return Job.objects.get(pk=case.key)

    @staticmethod
    def _locked(case: Case) -> tuple[Medium, Job]:
        """The medium of a case and its job, the job locked so that its media settle one after the other.

        Locks are taken in one order everywhere: case, turn, job, wallet. A severe refusal freezes the turn next.
        """
        require_transaction()
        medium = Medium.objects.select_related("job").get(pk=case.key)
        lock_turn(medium.job.person_id)
        job = Job.objects.select_for_update().get(pk=medium.job_id)
        return medium, job
