"""Cases with all that is said of them, what people brought, and who is protected."""

from moderation.models.cases import CASE_ARROWS, Case, CaseQuerySet, Decision, Freeze, Look, Screening, Signal
from moderation.models.inquiries import Inquiry, Metered
from moderation.models.known import BlockedPicture, BlockedPictureQuerySet, Embedding, ListChange
from moderation.models.registry import (
    Descriptor,
    Ending,
    Protected,
    ProtectedQuerySet,
    ReferencePicture,
    RegistryLook,
    RegistryState,
    Template,
)
from moderation.models.samples import Sample, SecondLook
from moderation.models.uploads import Upload, UploadQuerySet

__all__ = [
    "CASE_ARROWS", "BlockedPicture", "BlockedPictureQuerySet", "Case", "CaseQuerySet", "Decision", "Descriptor",
    "Embedding", "Ending", "Freeze", "Inquiry", "ListChange", "Look", "Metered", "Protected", "ProtectedQuerySet",
    "ReferencePicture", "RegistryLook", "RegistryState", "Sample", "Screening", "SecondLook", "Signal", "Template",
    "Upload", "UploadQuerySet",
]  # fmt: skip
