"""What goes into a job beside its words: whose it is, whether it was cleared, whether it fits together."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from django.core.files.base import File
from django.db.models import Q

from accounts.models import User
from generation.models import Input, Job, Medium
from generation.offer import BadOrder, Order
from journal.transactions import require_transaction
from moderation.actions import uploads
from moderation.models import Case, Upload

# As what an upload was brought that goes in under a role, and in which mode, where the mode decides.
BROUGHT_AS = {"picture": "picture", "last": "picture", "mask": "mask", "film": "film"}
CONTROL_AS = {"scribble": "sketch", "segmentation": "map"}
AGREED = ("", "0", "false", "no"), ("1", "true", "yes", "on")
# Sides of picture and mask may differ by so much in their ratio; both are cut alike.
SAME_SHAPE = 0.02


@dataclass(frozen=True)
class Found:
    """What an id of an order stands for."""

    medium: Medium | None = None
    upload: Upload | None = None

    def fields(self) -> dict[str, Any]:
        return {"medium": self.medium, "upload": self.upload}


def role_of(mode: str, name: str) -> str:
    """As what a file has to be brought that goes in under this name: one of Upload.Role."""
    return CONTROL_AS[mode] if name == "control" else BROUGHT_AS[name]


def agreed(value: object) -> bool:
    """Whether it is said that the people in a file agreed. Raises BadOrder for what is neither yes nor no."""
    said = "" if value is None else str(value).strip().lower()
    if said not in AGREED[0] + AGREED[1]:
        raise BadOrder("people_agreed", f"people_agreed is true or false, not {said[:32]!r}.")
    return said in AGREED[1]


def bring(person: User, file: "File[bytes]", *, mode: str, name: str, people_agreed: bool = False) -> Upload:
    """Take a file for an order. Raises BadOrder, naming the input, with the decoder's or the limits' sentence."""
    try:
        return uploads.take(person, file, role_of(mode, name), people_agreed=people_agreed)
    except uploads.UploadRefused as error:
        raise BadOrder(name, str(error)) from error


def fingerprints(person: User, order: Order) -> dict[str, str]:
    """What an identical order would bring again: an upload counts by its bytes, anything else by its id."""
    brought = Upload.objects.of(person).filter(pk__in=order.inputs.values())
    sums = dict(brought.values_list("pk", "sha256"))
    return {name: sums.get(key, str(key)) for name, key in order.inputs.items()}


def resolved(person: User, order: Order) -> dict[str, Found]:
    """What each id of an order stands for. Raises BadOrder where that is nothing of the person's that may go in."""
    return {name: _resolved(person, order, name, key) for name, key in order.inputs.items()}


def _resolved(person: User, order: Order, name: str, key: uuid.UUID) -> Found:
    wanted = role_of(order.way.mode.name, name)
    upload = Upload.objects.of(person).filter(pk=key).select_related("case").first()
    if upload is not None:
        if upload.role != wanted:
            raise BadOrder(name, f"This was brought as a {upload.get_role_display()}. Bring it as a {wanted}.")
        if upload.case.state in {Case.State.REFUSED, Case.State.WITHDRAWN}:
            raise BadOrder(name, f"This {upload.get_role_display()} was refused. Bring another.")
        if upload.erased_at is not None:
            raise BadOrder(name, f"This {upload.get_role_display()} is not kept any more. Bring it again.")
        return Found(upload=upload)
    medium = Medium.objects.of(person).shown().filter(pk=key).select_related("job").first()
    noun = "film" if wanted == "film" else "picture"
    if medium is None or wanted not in {"picture", "film"} or medium.job.noun != noun:
        raise BadOrder(name, f"You have no {wanted} with this id, brought or released. Choose another.")
    return Found(medium=medium)


def with_words(order: Order, found: Mapping[str, Found]) -> Order:
    """The order with the words of what it starts from, where it has none of its own."""
    first = next((one.medium for one in found.values() if one.medium is not None), None)
    return order if order.prompt or first is None else replace(order, prompt=first.job.prompt)


def standing(job: Job) -> Literal["cleared", "waiting", "in_review", "refused"]:
    """How all that goes into a job stands, the worst first. The person's turn must be locked."""
    require_transaction()
    cases = Case.objects.filter(Q(subject=Case.Subject.PROMPT, key=job.pk) | Q(upload__inputs__job=job))
    states = set(cases.values_list("state", flat=True))
    if states & {Case.State.REFUSED, Case.State.WITHDRAWN}:
        return "refused"
    if Case.State.IN_REVIEW in states:
        return "in_review"
    return "waiting" if Case.State.PENDING in states else "cleared"


def misfit(job: Job) -> str:
    """Why inputs that were cleared do not fit together, in a sentence; nothing when they do."""
    given = {one.role: one for one in job.inputs.select_related("upload", "medium__job")}
    picture, mask = (_size(given.get(role)) for role in ("picture", "mask"))
    if picture and mask:
        ratio = (picture[0] * mask[1]) / (picture[1] * mask[0])
        if abs(ratio - 1) > SAME_SHAPE:
            return (
                f"The mask is {mask[0]} x {mask[1]} pixels and the picture {picture[0]} x {picture[1]}: they need the "
                "same shape. You were not charged."
            )
    return ""


def refused_input(job: Job) -> tuple[str, str] | None:
    """Of a job that was refused for what goes in beside its words: which input, and its policy, if one was broken."""
    if not job.failure:
        return None
    refused = job.inputs.filter(upload__case__state__in=[Case.State.REFUSED, Case.State.WITHDRAWN])
    given = refused.select_related("upload__case").first()
    if given is None or given.upload is None:
        return "mask", ""
    return given.role, given.upload.case.policy_code


def waiting_for(upload: Upload) -> list[Job]:
    """The jobs that cannot start before this upload is decided."""
    return list(Job.objects.filter(inputs__upload=upload, state__in=[Job.State.CHECKING, Job.State.IN_REVIEW]))


def _size(given: Input | None) -> tuple[int, int] | None:
    if given is None:
        return None
    if given.medium is not None:
        return given.medium.job.width, given.medium.job.height
    upload = given.upload
    return (upload.width, upload.height) if upload and upload.width and upload.height else None
