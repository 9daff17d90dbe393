"""The time of the fake: real time plus an offset, or standing still until it is moved."""

import calendar
import time
from datetime import UTC, datetime


class Clock:
    """One clock for everything. It never goes back."""

    def __init__(self, frozen_at: int | None = None) -> None:
        self._frozen_at = frozen_at
        self._offset = 0
        # While something due is being done, the time is the moment at which it was due.
        self._pinned: int | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether time moves only when it is told to."""
        return self._frozen_at is not None

    def now(self) -> int:
        """Seconds since 1970."""
        return self._pinned if self._pinned is not None else self.real_now()

    def real_now(self) -> int:
        """The time that it is, whatever moment is being caught up with."""
        return self._frozen_at if self._frozen_at is not None else int(time.time()) + self._offset

    def pin(self, at: int | None) -> None:
        """Let it be `at` for what is done next, or release it with None."""
        self._pinned = at

    def move_to(self, at: int) -> None:
        """Set the clock forward to `at`; earlier moments are ignored."""
        ahead = at - self.real_now()
        if ahead <= 0:
            return
        if self._frozen_at is not None:
            self._frozen_at = at
        else:
            self._offset += ahead

    def state(self) -> dict[str, int | None]:
        """What must be kept to go on from here after a restart."""
        return {"offset": self._offset, "frozen_at": self._frozen_at}

    def restore(self, state: dict[str, int | None]) -> None:
        """Go on where an earlier run stopped; a clock that was frozen stays so only if this one is."""
        self._offset = state.get("offset") or 0
        kept = state.get("frozen_at")
        if self._frozen_at is not None and kept is not None:
            self._frozen_at = max(self._frozen_at, kept)


def after(anchor: int, interval: str, count: int) -> int:
    """The moment `count` intervals after the anchor; a month that lacks the day ends on its last one."""
    if interval == "day":
        return anchor + 86_400 * count
    if interval == "week":
        return anchor + 7 * 86_400 * count
    months = count * (12 if interval == "year" else 1)
    start = datetime.fromtimestamp(anchor, UTC)
    index = start.year * 12 + start.month - 1 + months
    year, month = divmod(index, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def period_after(anchor: int, start: int, interval: str, every: int) -> int:
    """The end of the period that begins at `start`, counted from the anchor so that 31 January survives February."""
    count = 0
    end = anchor
    while end <= start:
        count += every
        end = after(anchor, interval, count)
    return end
