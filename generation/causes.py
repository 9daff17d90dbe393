"""What the ledger asks us: which words, page and picture belong to a hold."""

from collections.abc import Sequence

from django.urls import reverse

from billing.causes import Explanation
from generation.models import Medium

WORDS = {
    "released": "A picture was released",
    "refused": "A picture was refused",
    "withdrawn": "A picture was withdrawn",
    "failed": "A picture could not be drawn",
    "cancelled": "A picture was cancelled",
    "screening": "A picture is being looked at",
    "in_review": "A picture is held for a person",
    "waiting": "A picture waits to be drawn",
}


class JobCause:
    """Explains a hold by the medium it was made for."""

    def explain(self, causes: Sequence[str]) -> dict[str, Explanation]:
        """One query for all. Only a released picture is named; anything else is told in words alone."""
        keys = [cause.removeprefix("medium:") for cause in causes if cause.startswith("medium:")]
        explained = {}
        for medium in Medium.objects.filter(pk__in=keys).select_related("job", "case"):
            prompt = medium.job.prompt if len(medium.job.prompt) <= 60 else medium.job.prompt[:57] + "…"
            explained[medium.cause] = Explanation(
                sentence=f"{WORDS.get(medium.word, 'A picture')}: “{prompt}”",
                url=reverse("job", args=[medium.job_id]),
                picture_url=reverse("medium", args=[medium.pk]) if medium.is_shown else None,
            )
        return explained
