"""Entries and pictures for the tests of the registry."""

import io
from datetime import timedelta
from typing import Any

from django.utils import timezone
from PIL import Image, ImageDraw

from accounts.models import User
from moderation.actions import registry as keeping
from moderation.classifiers.fake import FACE_RED, FACE_SIDE
from moderation.models import Ending, Protected
from moderation.screening import judge_prompt_now

OTHER = (30, 90, 160)


def protect(keeper: User, name: str = "Maria Rossi", **changes: Any) -> Protected:
    """An entry, of a person unless it says otherwise."""
    facts = {"kind": "person", "name": name, "basis": "own", "document": "letter of 3 May, file 12"}
    return keeping.add(keeping.Facts(**{**facts, **changes}), keeper=keeper)


def end(entry: Protected, keeper: User) -> None:
    assert keeping.end(entry, keeper=keeper, why=Ending.Why.OPT_OUT, note="her letter of 9 June")


def refused(prompt: str) -> tuple[str, tuple[str, ...]]:
    """Which policy the web process refuses a prompt by, and the words it names."""
    found = judge_prompt_now(prompt)
    return (found.policy_code, found.words) if found else ("", ())


def in_days(days: float) -> Any:
    return timezone.now() + timedelta(days=days)


def portrait(*faces: tuple[int, int], side: int = FACE_SIDE) -> bytes:
    """A picture with faces that the fake finder sees, each of its own green and blue."""
    image = Image.new("RGB", (512, 256), OTHER)
    for number, (green, blue) in enumerate(faces):
        left = 32 + number * 160
        ImageDraw.Draw(image).rectangle((left, 64, left + side - 1, 64 + side - 1), fill=(FACE_RED, green, blue))
    written = io.BytesIO()
    image.save(written, format="PNG")
    return written.getvalue()
