"""Troubles on demand: answers that fail or never come, and webhooks that arrive wrongly."""

import re
from dataclasses import dataclass, field
from random import Random
from typing import Any

from billing.fakestripe.core.errors import StripeError

KINDS = ("429", "500", "500_after_commit", "timeout_before", "timeout_after_commit", "down", "slow")


@dataclass
class Fault:
    """The next `left` calls that fit go wrong in this way."""

    kind: str
    match: str = "*"
    left: int = 1
    seconds: float = 0.5

    def fits(self, method: str, path: str) -> bool:
        """Whether this call is meant: `POST /v1/refunds`, `* /v1/*` or `*`."""
        if self.match == "*":
            return True
        pattern = ".*".join(re.escape(part) for part in self.match.split("*"))
        return re.fullmatch(pattern, f"{method} {path}") is not None


@dataclass
class WebhookFaults:
    """How deliveries go wrong. Everything off means that they go right."""

    duplicate: int = 0
    reorder: bool = False
    drop: float | list[str] = 0.0
    delay: float = 0.0
    stale: bool = False
    wrong_signature: bool = False
    hold: bool = False
    seed: int = 1
    random: Random = field(default_factory=lambda: Random(1), repr=False)  # noqa: S311

    def drops(self, type: str) -> bool:
        """Whether this delivery is lost on its way."""
        if isinstance(self.drop, list):
            return type in self.drop
        return self.drop > 0 and self.random.random() < self.drop


class Faults:
    """All knobs. They are not kept over a restart: what is broken on purpose heals."""

    def __init__(self) -> None:
        self.calls: list[Fault] = []
        self.webhooks = WebhookFaults()

    def set(self, wanted: dict[str, Any]) -> None:
        """Take what stands in `POST /_fake/faults`; {"clear": true} makes all well again."""
        known = {"next", "match", "kind", "seconds", "webhooks", "clear"}
        unknown = set(wanted) - known
        if unknown:
            raise StripeError(f"There is no such knob: {', '.join(sorted(unknown))}")
        if wanted.get("clear"):
            self.calls, self.webhooks = [], WebhookFaults()
        if "kind" in wanted:
            kind = str(wanted["kind"])
            if kind not in KINDS:
                raise StripeError(f"A fault is one of {', '.join(KINDS)}.", param="kind")
            # "down" lasts until it is cleared, the others for as many calls as were asked for.
            left = int(wanted.get("next", 10**9 if kind == "down" else 1))
            self.calls.append(Fault(kind, str(wanted.get("match", "*")), left, float(wanted.get("seconds", 0.5))))
        if "webhooks" in wanted:
            values = dict(wanted["webhooks"])
            wrong = set(values) - set(WebhookFaults.__dataclass_fields__) - {"random"}
            if wrong:
                raise StripeError(f"There is no such webhook knob: {', '.join(sorted(wrong))}")
            for name, value in values.items():
                setattr(self.webhooks, name, value)
            if "seed" in values:
                self.webhooks.random = Random(int(values["seed"]))  # noqa: S311

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this call meets, which is then used up; None if it goes well."""
        for fault in self.calls:
            if fault.left > 0 and fault.fits(method, path):
                fault.left -= 1
                if fault.left == 0:
                    self.calls.remove(fault)
                return fault
        return None

    def state(self) -> dict[str, Any]:
        """What is set now."""
        webhooks = {name: value for name, value in vars(self.webhooks).items() if name != "random"}
        return {"calls": [vars(fault) for fault in self.calls], "webhooks": webhooks}
