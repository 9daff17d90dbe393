"""Answer what is asked of the sieve with no job behind it. Never imported by the web process."""

import logging
from typing import Any

from django.conf import settings
from django.utils import timezone

from journal import files
from journal.transactions import step
from moderation import answers, registry, traces
from moderation.classifiers.armoury import Armoury
from moderation.formats import limits
from moderation.formats.decoding import BadUpload, Decoded, Traced, decode, trace
from moderation.models import Case, Inquiry
from moderation.rules import policies
from moderation.screening import uploads
from moderation.screening.leases import take_oldest
from moderation.screening.looking import look, required
from moderation.screening.marks import keys, watermark
from moderation.screening.originals import Unreadable
from moderation.screening.pictures import decode as reopen
from moderation.screening.pictures import look_at
from moderation.signals import ItemFault, Signal
from moderation.verdict import judge

log = logging.getLogger(__name__)


def answer_one(armoury: Armoury) -> bool:
    """Answer the oldest question that waits. False when there is none.

    1. It is claimed for as long as a decoder may take.
    2. The limited process opens what came with it; what that tells is looked up, or judged. In the pixels that it left
       the watermark is looked for.
    3. The answer is written, once; the files are removed. The sweeper removes what a kill left.
    """
    with step("verify.claim"):
        inquiry = take_oldest(Inquiry.objects.filter(state=Inquiry.State.WAITING), by="asked_at")
        if inquiry is None:
            return False
    if inquiry.attempts >= settings.MOST_ATTEMPTS:
        _write(inquiry, Inquiry.State.FAILED, {"why": "It could not be looked at. Try another copy of it."})
        return True
    try:
        if inquiry.kind == Inquiry.Kind.ORIGIN:
            found = trace(files.read(files.quarantine(), inquiry.file_key), keys().anchors)
            _write(inquiry, Inquiry.State.ANSWERED, traces.answer(found.told, watermark=_is_marked(found)))
        else:
            _write(inquiry, Inquiry.State.ANSWERED, {"results": [_judged(one, armoury) for one in inquiry.question]})
    except BadUpload as bad:
        _write(inquiry, Inquiry.State.FAILED, {"why": str(bad)})
    except files.StoreAway:
        raise
    except files.StoreBroken as error:
        log.error("inquiry %s: %s", inquiry.pk, error)
        _write(inquiry, Inquiry.State.FAILED, {"why": "The file was lost on our side. Bring it again."})
    return True


def _is_marked(found: Traced) -> bool | None:
    """Whether our watermark is in a picture; None where it could not be looked for."""
    if found.look is None:
        return None
    width, height = found.told["look"]
    if width * height > limits.LOOK_PIXELS:
        return None
    try:
        return watermark().is_in(reopen(found.look, size=(width, height)))
    except Unreadable as fault:
        log.info("a picture that was asked about cannot be looked at for a watermark: %s", fault)
        return None


def _judged(one: dict[str, str], armoury: Armoury) -> dict[str, Any]:
    """What the policies say of one text or picture. Raises BadUpload, RegistryUnreadable."""
    registry.refresh()
    if "text" in one:
        subject = Case.Subject.PROMPT
        (signals,) = armoury.screen_prompts([(one["text"], "")])
    else:
        subject = Case.Subject.UPLOAD
        made = decode([files.read(files.quarantine(), one["file"])], "picture")
        # What is asked is what is seen in it: consent is nothing that this can be asked about.
        signals = [*_seen(made, armoury), *uploads.said(attested=True, record=made.record)]
    verdict = judge(policies(), subject, signals, required(armoury, subject))
    return answers.told(verdict, signals, "text" if "text" in one else "image")


def _seen(made: Decoded, armoury: Armoury) -> list[Signal]:
    """The signals of a picture, of its worst view; none where it is flat, or the classifiers choke on it.

    Then every policy says that it did not hear of it.
    """
    size = made.record["decoded_width"], made.record["decoded_height"]
    try:
        (signals,) = look(armoury, [look_at(made.pixels, size=size, alpha=made.alpha)])
        return signals
    except (Unreadable, ItemFault) as fault:
        log.info("a picture that was asked about cannot be judged: %s", fault)
        return []


def _write(inquiry: Inquiry, state: Inquiry.State, answer: dict[str, object]) -> None:
    with step("verify.answer"):
        Inquiry.objects.filter(pk=inquiry.pk, state=Inquiry.State.WAITING).update(
            state=state, answer=answer, answered_at=timezone.now(), lease_until=None, file_key="", question=[]
        )
    for key in [inquiry.file_key, *(one["file"] for one in inquiry.question if "file" in one)]:
        if key:
            files.remove(files.quarantine(), key)
