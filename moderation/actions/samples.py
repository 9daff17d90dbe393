"""What the machine releases is drawn by chance for a second look, so that the share it misses can be estimated."""

from random import SystemRandom

from django.conf import settings
from django.db.models import Case as Case_
from django.db.models import F, QuerySet, When

from accounts.models import User
from journal.transactions import require_transaction
from moderation.models import Case, Sample, Screening

# A score of at least this share of its threshold nearly asked a person: more of those are looked at again.
NEAR = 0.7
# Nobody can foretell which picture is drawn.
_chance = SystemRandom()


def draw(case: Case, screening: Screening | None) -> Sample | None:
    """Leave it to chance whether a picture or film that the machine releases is looked at again, in its transaction."""
    require_transaction()
    shares = {Sample.Stratum.NEAR: settings.NEAR_MISS_SHARE, Sample.Stratum.FAR: settings.AUDIT_SHARE}
    drawn = _chance.random()
    # Most are drawn in neither stratum: those cost no question about their signals.
    if screening is None or drawn >= max(shares.values()):
        return None
    stratum = Sample.Stratum.NEAR if _nearly_asked(screening) else Sample.Stratum.FAR
    if drawn >= shares[stratum]:
        return None
    return Sample.objects.create(case=case, stratum=stratum, probability=shares[stratum])


def waiting(moderator: User) -> QuerySet[Sample]:
    """What waits for a second look by this moderator: released still, and never their own. What a rescan asks about
    comes first: it may have to be taken back."""
    cases = Case.objects.reviewable_by(moderator).filter(state=Case.State.CLEARED)
    return Sample.objects.filter(second_look__isnull=True, case__in=cases).order_by(
        Case_(When(stratum=Sample.Stratum.RESCAN, then=0), default=1), "pk"
    )


def _nearly_asked(screening: Screening) -> bool:
    # A score that is no number is null in the table and nothing here; its case was never cleared by the machine.
    return screening.signals.filter(threshold__gt=0, score__gte=NEAR * F("threshold")).exists()
