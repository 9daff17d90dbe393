"""Which function answers which address of the API."""

from collections.abc import Callable

from billing.fakestripe.core.store import Obj

# (world, params, *what stands in the address) -> the object to show
Answer = Callable[..., Obj]
_FIXED: dict[tuple[str, str], Answer] = {}
_OPEN: dict[tuple[str, int], list[tuple[list[str], Answer]]] = {}


def route(method: str, path: str) -> Callable[[Answer], Answer]:
    """Register an answer; `{}` in the path stands for an identifier."""

    def enter(answer: Answer) -> Answer:
        steps = path.strip("/").split("/")
        if "{}" in steps:
            _OPEN.setdefault((method, len(steps)), []).append((steps, answer))
        else:
            _FIXED[method, path] = answer
        return answer

    return enter


def find(method: str, path: str) -> tuple[Answer, list[str]] | None:
    """The answer for this address and what stands in its open places, or None."""
    fixed = _FIXED.get((method, path))
    if fixed is not None:
        return fixed, []
    steps = path.strip("/").split("/")
    for pattern, answer in _OPEN.get((method, len(steps)), ()):
        if all(want in ("{}", step) for want, step in zip(pattern, steps, strict=True)):
            return answer, [step for want, step in zip(pattern, steps, strict=True) if want == "{}"]
    return None
