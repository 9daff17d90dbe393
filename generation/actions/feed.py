"""What goes into a job, as the engine wants it: read from quarantine, cut to the size that is drawn."""

import io
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from generation.engine import ModeCard, ModelCard
from generation.engine.encoding import frames
from generation.models import Input, Job, Medium
from journal import files
from moderation.models import Upload

log = logging.getLogger(__name__)

Role = Input.Role


def feed(card: ModelCard, job: Job) -> dict[str, Any] | None:
    """The inputs of a job by their role, at the size it is drawn at; None if one is not there any more.

    The gate is asked anew: what was withdrawn since is not drawn with. Originals and decoded pixels are read, not what
    was made for release. All of one job are cut alike, about their middle. Raises StoreAway.
    """
    way = card.modes[job.mode]
    size = way.native_size((job.width, job.height))
    fed: dict[str, Any] = {}
    for given in job.inputs.all():
        data = _read(job, given)
        if data is None:
            return None
        fed[given.role] = _film(data, size, job.frames) if given.role == Role.FILM else _picture(data, size, way, given)
    return fed


def told(job: Job) -> dict[str, Any]:
    """What goes in, for whoever looks at what came out."""
    words = []
    for given in job.inputs.select_related("upload"):
        if given.medium_id is not None:
            words.append(f"{given.get_role_display()}: released to them, {str(given.medium_id)[:8]}")
        elif given.upload is not None:
            words.append(f"{given.get_role_display()}: brought by them, case {given.upload.case_id}")
    return {"goes_in": words, "strength": job.strength} if words else {}


def _read(job: Job, given: Input) -> bytes | None:
    """The file of an input, if it may be drawn with at this moment and is the one that was judged."""
    where = None
    if given.medium_id is not None:
        medium = Medium.objects.of(job.person).shown().filter(pk=given.medium_id).first()
        where = (medium.original_key, medium.original_sha256) if medium else None
    elif given.upload_id is not None:
        upload = Upload.objects.of(job.person).usable().filter(pk=given.upload_id).first()
        where = (upload.pixels_key, upload.pixels_sha256) if upload else None
    if where is None:
        return None
    key, sha256 = where
    try:
        data = files.read(files.quarantine(), key)
    except files.StoreAway:
        raise
    except files.StoreBroken as error:
        log.error("job %s cannot be drawn from its %s: %s", job.pk, given.role, error)
        return None
    if files.digest(data) != sha256:
        log.error("%s is not the file that was judged, for job %s", key, job.pk)
        return None
    return data


def _picture(data: bytes, size: tuple[int, int], way: ModeCard, given: Input) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as file:
        picture = file.convert("RGB")
    if given.role == Role.MASK:
        return ImageOps.fit(picture.convert("L"), size, Image.Resampling.NEAREST)
    if given.role == Role.CONTROL and way.palette:
        return as_map(ImageOps.fit(picture, size, Image.Resampling.NEAREST), way.palette)
    fitted = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return as_sketch(fitted) if given.role == Role.CONTROL else fitted


def _film(data: bytes, size: tuple[int, int], number: int) -> tuple[Image.Image, ...]:
    """As many frames as are drawn, at even distances; the last is repeated where there are fewer."""
    whole = [Image.fromarray(frame) for frame in frames(io.BytesIO(data))]
    places = np.linspace(0, len(whole) - 1, number).round().astype(int)
    return tuple(ImageOps.fit(whole[place], size, Image.Resampling.LANCZOS) for place in places)


def as_sketch(picture: Image.Image) -> Image.Image:
    """White lines on black, as models learnt sketches, whichever way round it was drawn."""
    grey = picture.convert("L")
    is_bright = np.asarray(grey).mean() > 127
    return (ImageOps.invert(grey) if is_bright else grey).convert("RGB")


def as_map(picture: Image.Image, palette: Mapping[str, tuple[int, int, int]]) -> Image.Image:
    """Each pixel in the nearest colour of the palette: edges that a brush softened mean nothing to a model."""
    colours = np.array(list(palette.values()), dtype=np.int32)
    pixels = np.asarray(picture, dtype=np.int32)
    nearest = np.zeros(pixels.shape[:2], dtype=np.intp)
    least = np.full(pixels.shape[:2], np.iinfo(np.int32).max, dtype=np.int32)
    for number, colour in enumerate(colours):
        distance = np.square(pixels - colour).sum(-1)
        closer = distance < least
        nearest[closer], least[closer] = number, distance[closer]
    return Image.fromarray(colours[nearest].astype(np.uint8))
