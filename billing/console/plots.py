"""Plots as inline SVG: ink for what happened, one accent line for where it goes. Each mark says its day and value.

They stretch with the page, so there is no text in them; `console.js` shows at the pointer what the titles say.
"""

from collections.abc import Callable, Sequence
from datetime import date
from itertools import pairwise

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 600.0, 100.0
# The accent line over bars is the mean of so many of them.
MEAN_OF = 7


def bars(days: Sequence[date], values: Sequence[int], before: Sequence[int], said: Callable[[int], str]) -> SafeString:
    """What happened in each span of days, and the mean of the last seven; `before` are the values that went ahead."""
    top = max([1, *values])
    step = WIDTH / len(values)
    gap = min(step * 0.3, 2.5)
    # Below zero, where more came back than went, is drawn as nought; the title tells.
    drawn = "".join(
        f'<rect class="bar" x="{number * step:.1f}" y="{_y(value, top):.1f}" width="{step - gap:.1f}" '
        f'height="{HEIGHT - _y(value, top):.1f}"/>'
        for number, value in enumerate(values)
        if value > 0
    )
    together = [*before[-MEAN_OF + 1 :], *values] if len(before) >= MEAN_OF - 1 else list(values)
    ahead = len(together) - len(values)
    means = [
        sum(part := together[max(0, ahead + number - MEAN_OF + 1) : ahead + number + 1]) / len(part)
        for number in range(len(values))
    ]
    return _plot(drawn, means, top, days, values, said)


def line(days: Sequence[date], values: Sequence[int], before: Sequence[int], said: Callable[[int], str]) -> SafeString:
    """How something stood at the end of each span, over a thin line of how it stood in the spans before."""
    top = max([1, *values, *before])
    drawn = f'<path class="before" d="{_path(before, top)}"/>' if any(before) else ""
    return _plot(drawn, values, top, days, values, said)


def _plot(
    drawn: str,
    accent: Sequence[float],
    top: float,
    days: Sequence[date],
    values: Sequence[int],
    said: Callable[[int], str],
) -> SafeString:
    step = WIDTH / len(values)
    marks = "".join(
        f'<rect class="mark" x="{number * step:.1f}" width="{step:.1f}" height="{HEIGHT:.0f}" '
        f'data-y="{_y(value, top):.1f}"><title>{day:%-d %b %Y}: {escape(said(value))}</title></rect>'
        for number, (day, value) in enumerate(zip(days, values, strict=True))
    )
    return mark_safe(  # noqa: S308, everything in it is a number of ours or escaped above
        f'<svg class="plot" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" focusable="false">{drawn}'
        f'<path class="line" d="{_path(accent, top)}"/>{marks}</svg>'
    )


def _y(value: float, top: float) -> float:
    """Where a value lies; a little room is left for the line's own thickness."""
    return HEIGHT - 1 - (HEIGHT - 4) * min(max(value, 0), top) / top


def _path(values: Sequence[float], top: float) -> str:
    step = WIDTH / len(values)
    points = [(number * step + step / 2, _y(value, top)) for number, value in enumerate(values)]
    # A point on a straight stretch adds nothing.
    kept = [
        point
        for point, ahead, behind in zip(points, [None, *points], [*points[1:], None], strict=False)
        if ahead is None or behind is None or not ahead[1] == point[1] == behind[1]
    ]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in kept)


def change(now: float, before: float) -> str:
    """How much more or less, in words of a few signs; nothing where there is nothing to compare."""
    if not before:
        return "" if not now else "new"
    percent = round(100 * (now - before) / abs(before))
    return "as before" if not percent else f"{percent:+,} %".replace("-", "−")


def shares(amounts: Sequence[int]) -> list[float]:
    """How long the bar of each is, beside the longest, in hundredths."""
    longest = max([1, *amounts])
    return [round(100 * max(amount, 0) / longest, 1) for amount in amounts]


def rises(values: Sequence[int]) -> list[int]:
    """What was added at each step of something that only says how it stands."""
    return [after - before for before, after in pairwise(values)]
