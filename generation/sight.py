"""A job as its owner sees it: states as words, frames that fill, and what may be done. No byte of a picture."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Prefetch

from generation.models import Job, JobQuerySet, Medium

# How often an unfinished card asks again, as htmx wants it. A person takes their time.
ASKS = {
    Job.State.CHECKING: "load delay:300ms, every 1s",
    Job.State.QUEUED: "every 1s",
    Job.State.RUNNING: "every 1s",
    Job.State.SCREENING: "every 1s",
    Job.State.IN_REVIEW: "every 15s",
}
WORDS = {
    "waiting": "waiting",
    "running": "drawing",
    "screening": "being looked at",
    "in_review": "held for a person",
    "released": "released",
    "refused": "refused",
    "withdrawn": "withdrawn",
    "failed": "failed",
    "cancelled": "cancelled",
}


@dataclass(frozen=True)
class Frame:
    """The place of one medium on a page. It has the picture's shape from the start, so nothing jumps."""

    medium: Medium
    state: str
    # Of a frame that is 100 wide: its height, and the part of it that is filled, from below.
    height: float
    filled: float

    @property
    def word(self) -> str:
        return WORDS[self.state]

    @property
    def number(self) -> int:
        return self.medium.index + 1

    @property
    def top(self) -> float:
        """Where the filled part begins."""
        return round(self.height - self.filled, 2)

    @property
    def is_shown(self) -> bool:
        return self.medium.is_shown

    @property
    def has_news(self) -> bool:
        """It says something of this one medium that its job need not say of all."""
        return self.state not in {"waiting", "running"}

    @property
    def has_statement(self) -> bool:
        return self.state in {"refused", "withdrawn"} and self.medium.case_id is not None


class Sight:
    """One job with its media, which must have their cases joined."""

    def __init__(self, job: Job, media: Sequence[Medium]) -> None:
        self.job = job
        self.media = media
        # Of a job that waits: how many turns come before it, plus one.
        self.place: int | None = None

    @cached_property
    def frames(self) -> list[Frame]:
        height = round(100 * self.job.height / self.job.width, 2)
        frames = []
        for medium in self.media:
            state = medium.word
            part = 1.0
            if state == "waiting":
                drawing = self.job.state == Job.State.RUNNING
                state, part = ("running", self.job.progress) if drawing else ("waiting", 0.0)
            frames.append(Frame(medium, state, height, round(height * min(max(part, 0.0), 1.0), 2)))
        return frames

    @cached_property
    def released(self) -> int:
        return sum(frame.state == "released" for frame in self.frames)

    @property
    def charged(self) -> int:
        """Credits taken for what was released."""
        return self.released * self.job.unit_price

    @property
    def state(self) -> str:
        """The job's state; of a job that is done without a picture, what became of them."""
        if self.job.state != Job.State.DONE or self.released:
            return self.job.state
        fates = [frame.state for frame in self.frames]
        return next((fate for fate in ("refused", "withdrawn", "failed") if fate in fates), "done")

    @property
    def word(self) -> str:
        if self.state == "done":
            return "released" if self.released == self.job.n else f"{self.released} of {self.job.n} released"
        return WORDS.get(self.state, str(self.job.get_state_display()))

    @cached_property
    def sentence(self) -> str:
        """Where it stands, in a sentence for the person who waits."""
        job = self.job
        match job.state:
            case Job.State.CHECKING:
                return "What you asked for is being read."
            case Job.State.QUEUED:
                return self._place()
            case Job.State.RUNNING:
                return f"Step {job.progress_step} of {job.steps}."
            case Job.State.SCREENING:
                return "Drawn. Now it is looked at."
            case Job.State.IN_REVIEW:
                return "Held for a person to look at. Usually decided within 2 hours."
            case Job.State.REFUSED:
                return job.failure or "The prompt was refused. You were not charged."
            case Job.State.FAILED:
                return job.failure or "It could not be drawn. You were not charged."
        return self._end()

    def _place(self) -> str:
        if self.place is None or self.place <= 1:
            return "Next in line."
        return f"{self.place - 1} {'turn' if self.place == 2 else 'turns'} before it."

    def _end(self) -> str:
        """Done or cancelled: what it came to."""
        start = "Cancelled. " if self.job.state == Job.State.CANCELLED else ""
        if not self.released:
            if "withdrawn" in [frame.state for frame in self.frames]:
                return f"{start}It was taken back after its release."
            return f"{start}You were not charged."
        credits = f"{self.charged} credit{'' if self.charged == 1 else 's'}"
        return f"{start}{credits}{self._time()}." if not start else f"{start}{credits} for what was released."

    def _time(self) -> str:
        if self.job.finished_at is None:
            return ""
        seconds = (self.job.finished_at - self.job.created_at).total_seconds()
        if seconds < 90:
            return f", {seconds:.0f} s from asking to release"
        if seconds < 5400:
            return f", {seconds / 60:.0f} min from asking to release"
        return ""

    @property
    def asks(self) -> str:
        """When the card asks again; empty when nothing will change by itself."""
        return ASKS.get(Job.State(self.job.state), "")

    @cached_property
    def seen(self) -> str:
        """Short for all that the card shows: the same again needs no new card."""
        facts = [self.state, self.sentence, *(f"{frame.state}{frame.filled}" for frame in self.frames)]
        return f"{self.job.state}-{hashlib.sha256('|'.join(facts).encode()).hexdigest()[:12]}"

    def was(self, seen: str) -> str:
        """The job's state in an earlier `seen`."""
        return seen.partition("-")[0]


def sights(jobs: JobQuerySet) -> list[Sight]:
    """One person's jobs with their media, in two queries, and three more if any waits. Evidence stays where it is."""
    media = Medium.objects.select_related("case").defer("case__evidence", "case__findings").order_by("index")
    found = [Sight(job, list(job.media.all())) for job in jobs.prefetch_related(Prefetch("media", media))]
    waiting = sorted(
        (sight for sight in found if sight.job.state == Job.State.QUEUED),
        key=lambda sight: (sight.job.priority, sight.job.queued_at or sight.job.created_at, sight.job.pk),
    )
    # A person's own jobs come one after the other, so only the first has to ask for its place.
    first = waiting[0].job.queue_place() if waiting else None
    for after, sight in enumerate(waiting):
        sight.place = first + after if first is not None else None
    return found
