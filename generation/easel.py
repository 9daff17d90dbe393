"""What the composer shows for each thing that goes in beside the words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from accounts.models import User
from generation.actions.inputs import role_of
from generation.engine import ModeCard
from generation.models import Medium
from moderation.models import Upload

LABELS = {
    "picture": "The picture to start from",
    "mask": "What is to be drawn anew",
    "sketch": "Your sketch",
    "map": "Your map",
    "last": "The picture to end with",
    "film": "The film to start from",
}
HELP = {
    "mask": "Paint over the part that is to change.",
    "sketch": "Draw a few lines; the words say what they are.",
    "map": "Choose a thing, and paint where it is to be.",
}
ACCEPTED = {"film": "video/mp4,video/webm,video/quicktime"}
PICTURES = "image/png,image/jpeg,image/webp"


@dataclass(frozen=True)
class GoesIn:
    """One input of the composer: chosen already, or to be brought or drawn."""

    name: str
    role: str
    medium: Medium | None
    upload: Upload | None
    palette: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return LABELS["last" if self.name == "last" else self.role]

    @property
    def help(self) -> str:
        return HELP.get(self.role, "")

    @property
    def accept(self) -> str:
        return ACCEPTED.get(self.role, PICTURES)

    @property
    def is_drawn(self) -> bool:
        """It can be drawn here."""
        return self.role in HELP

    @property
    def shows_people(self) -> bool:
        """Somebody may be recognised in it."""
        return self.role in (Upload.Role.PICTURE, Upload.Role.FILM)

    @property
    def chosen(self) -> str:
        """The id of what was chosen already."""
        thing = self.medium or self.upload
        return str(thing.pk) if thing else ""


def goes_in(person: User, way: ModeCard, name: str, chosen: str) -> GoesIn:
    """One input of a mode, with what the person chose for it, if that is theirs and may go in."""
    medium, upload = _found(person, chosen)
    palette = {thing: f"#{red:02x}{green:02x}{blue:02x}" for thing, (red, green, blue) in way.palette.items()}
    return GoesIn(name, role_of(way.mode.name, name), medium, upload, palette if name == "control" else {})


def _found(person: User, chosen: str) -> tuple[Medium | None, Upload | None]:
    try:
        key = UUID(chosen)
    except ValueError:
        return None, None
    medium = Medium.objects.of(person).shown().filter(pk=key).select_related("job").first()
    refused = ["refused", "withdrawn"]
    kept = Upload.objects.of(person).filter(pk=key, erased_at__isnull=True).exclude(case__state__in=refused)
    return medium, kept.select_related("case").first() if medium is None else None
