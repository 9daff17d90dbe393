"""Have an upload decoded, by a process that may do nothing else. Never imported by the web process."""

import io
import uuid
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from PIL import Image

from journal import files
from journal.failpoints import failpoint
from journal.transactions import step
from moderation.actions.uploads import forget_raw
from moderation.formats.decoding import BadUpload, Decoded, decode
from moderation.models import Case, Upload
from moderation.policy import UPLOAD
from moderation.screening.originals import Unfit, Unreadable
from moderation.signals import MachineryFault, Signal

# What content credentials call a picture that a camera took, by IPTC's digital source types.
CAPTURED = frozenset({"digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"})


def brought(case: Case) -> list[Signal]:
    """What is known of how the upload of a case was brought."""
    return said(attested=bool(case.evidence.get("attested")), record=case.upload.record)


def said(*, attested: bool, record: Mapping[str, Any]) -> list[Signal]:
    """What is known of a file beside what is seen in it, by the decoder's record: whether nobody said that the people
    in it agreed; whether it says that a camera took it, and that a model made it.

    Files say of themselves what whoever brings them likes, so no policy may excuse anything by it.
    """
    source = record.get("source", "")
    facts = {
        "unattested": not attested,
        "camera": bool(record.get("camera", {}).get("taken")) or source in CAPTURED,
        "says_synthetic": "TrainedAlgorithmicMedia" in source or source == "trainedAlgorithmicMedia",
    }
    return [Signal(name, float(is_so), UPLOAD, "1") for name, is_so in facts.items()]


def decoded(case: Case) -> Upload:
    """The upload of a case, with its pixels in quarantine. The file itself is gone afterwards.

    1. The file is read and handed to the limited process.
    2. What it left is kept under the lease; the row says so if the lease is still ours.
    3. The file is removed; the sweeper does that where we were killed.

    Raises Unfit with a sentence for the person, Unreadable for a file that is not the one that was brought, and
    MachineryFault when the store does not answer.
    """
    upload = Upload.objects.select_related("case").get(case=case)
    if upload.decoded_at is None:
        assert case.lease_token is not None
        made = _decode(upload)
        failpoint("upload.before_pixels")
        fields = _keep(upload, made, case.lease_token)
        with step("screen.decoded"):
            ours = Case.objects.select_for_update().filter(
                pk=case.pk, state=Case.State.PENDING, lease_token=case.lease_token
            )
            if not ours.exists():
                raise MachineryFault(f"the lease on case {case.pk} was lost while its upload was decoded")
            Upload.objects.filter(pk=upload.pk, decoded_at__isnull=True).update(**fields)
        failpoint("upload.before_forget")
        upload.refresh_from_db()
    if upload.raw_key:
        forget_raw(upload)
    return upload


def _decode(upload: Upload) -> Decoded:
    try:
        raw = files.read(files.quarantine(), upload.raw_key)
    except files.StoreAway as error:
        raise MachineryFault(str(error)) from error
    except files.StoreBroken as error:
        raise Unreadable(str(error)) from error
    try:
        made = decode([raw], "film" if upload.kind == "film" else "picture")
    except BadUpload as bad:
        raise Unfit(str(bad)) from bad
    if made.record["sha256"] != upload.sha256:
        raise Unreadable("the file in quarantine is not the one that was brought")
    return _mask(made) if upload.role == Upload.Role.MASK else made


def _mask(made: Decoded) -> Decoded:
    """A mask as black and white: white where the file is see-through, or, if it is nowhere, where it is bright."""
    if made.alpha:
        with Image.open(io.BytesIO(made.alpha), formats=("PNG",)) as file:
            marked = file.convert("L").point(lambda value: 255 if value < 128 else 0)
    else:
        with Image.open(io.BytesIO(made.pixels), formats=("PNG",)) as file:
            marked = file.convert("L").point(lambda value: 255 if value >= 128 else 0)
    if not any(marked.histogram()[:255]) or not marked.histogram()[255]:
        what = "the whole picture" if marked.histogram()[255] else "nothing"
        raise Unfit(f"The mask marks {what}. Mark the part to draw anew.")
    written = io.BytesIO()
    marked.convert("RGB").save(written, format="PNG")
    return Decoded(written.getvalue(), None, made.record)


def _keep(upload: Upload, made: Decoded, token: uuid.UUID) -> dict[str, Any]:
    """Write the pixels, below the lease that made them. Returns what the row is to say."""
    suffix = ".mp4" if upload.kind == "film" else ".png"
    folder = f"{upload.folder}/{token}"
    sha256 = files.digest(made.pixels)
    fields: dict[str, Any] = {
        "pixels_key": files.write_once(files.quarantine(), f"{folder}/{sha256}{suffix}", made.pixels),
        "pixels_sha256": sha256,
        "width": made.record["decoded_width"],
        "height": made.record["decoded_height"],
        "record": made.record,
        "decoded_at": timezone.now(),
    }
    if made.alpha:
        alpha = files.digest(made.alpha)
        fields["alpha_key"] = files.write_once(files.quarantine(), f"{folder}/{alpha}.alpha.png", made.alpha)
        fields["alpha_sha256"] = alpha
    return fields
