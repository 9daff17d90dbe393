"""What the ledger asks us: which words, page and picture belong to a hold."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.urls import reverse

from billing.causes import Explanation, Matter, ModelWork, Outline
from generation.models import Job, JobHistory, Medium

WORDS = {
    "released": "A {noun} was released",
    "refused": "A {noun} was refused",
    "withdrawn": "A {noun} was withdrawn",
    "failed": "A {noun} could not be drawn",
    "cancelled": "A {noun} was cancelled",
    "screening": "A {noun} is being looked at",
    "in_review": "A {noun} is held for a person",
    "waiting": "A {noun} waits to be drawn",
}


def _said(medium: Medium) -> str:
    """What became of it."""
    return WORDS.get(medium.word, "A {noun}").format(noun=medium.job.noun)


class JobCause:
    """Explains a hold by the medium it was made for."""

    def explain(self, causes: Sequence[str]) -> dict[str, Explanation]:
        """One query for all. Only a released picture is named; anything else is told in words alone."""
        keys = [cause.removeprefix("medium:") for cause in causes if cause.startswith("medium:")]
        explained = {}
        for medium in Medium.objects.filter(pk__in=keys).select_related("job", "case"):
            title = medium.job.title if len(medium.job.title) <= 60 else medium.job.title[:57] + "…"
            picture = "poster" if medium.job.is_film else "medium"
            explained[medium.cause] = Explanation(
                sentence=f"{_said(medium)}: “{title}”",
                url=reverse("job", args=[medium.job_id]),
                picture_url=reverse(picture, args=[medium.pk]) if medium.is_shown else None,
            )
        return explained

    def outline(self, causes: Sequence[str]) -> dict[str, Outline]:
        """One query for all, whatever their state: the words of a prompt and the picture are not looked at."""
        keys = [cause.removeprefix("medium:") for cause in causes if _id(cause.removeprefix("medium:"))]
        media = Medium.objects.filter(pk__in=keys).select_related("job", "case")
        return {
            medium.cause: Outline(
                sentence=f"{_said(medium)}, {medium.index + 1} of {medium.job.n} by {medium.job.model}",
                matter=str(medium.job_id),
            )
            for medium in media.defer("job__prompt", "job__negative_prompt", "case__evidence")
        }

    def matter_of(self, reference: str) -> Matter | None:
        """By the id of a job, or of one of its media."""
        if not (key := _id(reference)):
            return None
        job = Job.objects.filter(pk=key).first() or Job.objects.filter(media=key).first()
        if job is None:
            return None
        return Matter(
            id=str(job.pk),
            person=job.person_id,
            sentence=f"A job of {job.n} by {job.model}, {job.get_state_display()}",
            causes=tuple(medium.cause for medium in job.media.all()),
        )

    def models_of(self, causes: Collection[str]) -> dict[str, str]:
        """One query, over two primary keys."""
        keys = [cause.removeprefix("medium:") for cause in causes if _id(cause.removeprefix("medium:"))]
        found = Medium.objects.filter(pk__in=keys).order_by().values_list("pk", "job__model")
        return {f"medium:{pk}": model for pk, model in found}

    def work(self, since: datetime, until: datetime) -> Sequence[ModelWork]:
        """What jobs took that came to the end of their drawing in this time, by the history of their states.

        Jobs of one batch are drawn together: they began at the same moment, and their time is counted once, to the
        end of the last. Attempts that were given back to the line are not counted, nor is loading a model beforehand.
        """
        ended = JobHistory.objects.filter(
            pk__gte=_written_from(since - SLACK),
            pk__lt=_written_from(until + SLACK),
            at__gte=since,
            at__lt=until,
            from_state=Job.State.RUNNING,
        ).exclude(to_state=Job.State.QUEUED)
        batches: dict[tuple[str, str, datetime], datetime] = {}
        media: dict[str, int] = defaultdict(int)
        for at, to, model, worker, began, n in ended.order_by().values_list(
            "at", "to_state", "job__model", "job__worker", "job__started_at", "job__n"
        ):
            key = (model, worker, began or at)
            batches[key] = max(at, batches.get(key, at))
            media[model] += n if to == Job.State.SCREENING else 0
        seconds: dict[str, float] = defaultdict(float)
        for (model, _, began), end in batches.items():
            seconds[model] += max((end - began).total_seconds(), 0.0)
        return [ModelWork(model, media[model], seconds[model]) for model in sorted(seconds)]


# A row's time is taken a moment before its number.
SLACK = timedelta(minutes=1)


def _written_from(moment: datetime) -> int:
    """The first number in the history from which rows were written at `moment` or later, found by halving.

    Rows get their numbers in the order of time, so that no index on the time is needed on a table that grows by every
    job.
    """
    last = JobHistory.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    low, high = 0, last + 1
    while low < high:
        middle = (low + high) // 2
        found = JobHistory.objects.filter(pk__gte=middle).order_by("pk").values_list("pk", "at").first()
        if found is None or found[1] >= moment:
            high = middle
        else:
            low = found[0] + 1
    return low


def _id(text: str) -> UUID | None:
    """What may be the id of a job or a medium."""
    try:
        return UUID(text)
    except ValueError:
        return None
