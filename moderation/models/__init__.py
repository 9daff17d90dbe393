"""Cases with all that is said of them, and what people brought."""

from moderation.models.cases import CASE_ARROWS, Case, CaseQuerySet, Decision, Freeze, Look, Screening, Signal
from moderation.models.inquiries import Inquiry, Metered
from moderation.models.samples import Sample, SecondLook
from moderation.models.uploads import Upload, UploadQuerySet

__all__ = [
    "CASE_ARROWS", "Case", "CaseQuerySet", "Decision", "Freeze", "Inquiry", "Look", "Metered", "Sample", "Screening",
    "SecondLook", "Signal", "Upload", "UploadQuerySet",
]  # fmt: skip
