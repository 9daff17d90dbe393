"""The statement of reasons: what whoever was refused is told. Made from the decision, without thresholds."""

from dataclasses import dataclass
from datetime import datetime

from moderation.models import Case, Decision
from moderation.rules import in_words, policies

FIELDS = {Case.Subject.PROMPT: "prompt", Case.Subject.UPLOAD: "upload", Case.Subject.MEDIUM: "picture"}
BY = {
    Decision.ActorKind.MACHINE: "Our classifiers decided this without a person.",
    Decision.ActorKind.MODERATOR: "Our classifiers asked, and a person decided this.",
    Decision.ActorKind.CLOCK: "Nobody decided it in time, so it was refused. That is not a judgement of it.",
    Decision.ActorKind.APPEAL: "A person decided this after your appeal.",
    Decision.ActorKind.OWNER: "You took it back.",
}
REMEDIES = {
    Case.Subject.PROMPT: "Ask for it again; nothing was charged.",
    Case.Subject.UPLOAD: "Bring another file; nothing was charged.",
    Case.Subject.MEDIUM: "Ask for it again; nothing was charged.",
}

# The title where no policy is the reason.
BARE = {
    Decision.ActorKind.MACHINE: "Ended before a decision",
    Decision.ActorKind.MODERATOR: "Refused by a person",
    Decision.ActorKind.CLOCK: "Not decided in time",
    Decision.ActorKind.APPEAL: "Refused after an appeal",
    Decision.ActorKind.OWNER: "Taken back",
}


@dataclass(frozen=True)
class Statement:
    """Why something was refused or taken back. `policy_code` is empty when no policy was the reason."""

    case_id: int
    field: str
    policy_code: str
    title: str
    sentence: str
    remedy: str
    by: str
    at: datetime
    policy_version: str


def statement_of(case: Case) -> Statement | None:
    """The statement on a refused or withdrawn case; None for any other."""
    if case.state not in {Case.State.REFUSED, Case.State.WITHDRAWN}:
        return None
    decision = case.decisions.filter(to_state=case.state).order_by("-pk").first()
    if decision is None:
        return None
    policy = policies().named(decision.policy_code)
    return Statement(
        case_id=case.pk,
        field=FIELDS[Case.Subject(case.subject)],
        policy_code=decision.policy_code,
        title=in_words(policy.titles) if policy else _bare(case, decision),
        sentence=in_words(policy.statement) if policy else decision.reason,
        remedy=in_words(policy.remedy) if policy else REMEDIES[Case.Subject(case.subject)],
        by=BY[Decision.ActorKind(decision.actor_kind)],
        at=decision.created_at,
        policy_version=decision.policy_version,
    )


def _bare(case: Case, decision: Decision) -> str:
    """The title where no policy is the reason."""
    if case.subject == Case.Subject.UPLOAD and decision.actor_kind == Decision.ActorKind.MACHINE:
        return "It cannot be used"
    return BARE[Decision.ActorKind(decision.actor_kind)]
