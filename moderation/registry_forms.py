"""What a keeper of the registry fills in. What is wrong is told before an entry is made, since none ever changes."""

import unicodedata
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from moderation import names
from moderation.actions.registry import Facts
from moderation.dictionaries import is_known
from moderation.models import Ending, Protected
from moderation.names import Entry, Kind
from moderation.policy import LANGUAGES
from moderation.reading import readings, tokens
from moderation.registry import KINDS

MOST_LINES = 40
LONGEST_LINE = 120
# Fields with a line of help below them.
HELPED = ("name", "aliases", "alone", "unlike", "document", "expires_on", "outright", "instead_en", "instead_it")
# Joiners without a width belong to some scripts; whatever else nobody sees only misleads.
_JOINERS = "\u200c\u200d"


def _one_line(text: str) -> str:
    """A text as it is kept: composed, with single spaces. Raises ValidationError for signs that nobody sees."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if any(unicodedata.category(sign) in {"Cc", "Cf", "Co", "Cs"} and sign not in _JOINERS for sign in text):
        raise forms.ValidationError("There is a sign in it that nobody sees. Type it anew.")
    return text


class Line(forms.CharField):
    """One line."""

    def clean(self, value: Any) -> str:
        return _one_line(super().clean(value))


class Lines(forms.CharField):
    """Several, one below the other; none twice."""

    widget = forms.Textarea

    def clean(self, value: Any) -> tuple[str, ...]:
        lines = tuple(dict.fromkeys(line for row in super().clean(value).splitlines() if (line := _one_line(row))))
        if len(lines) > MOST_LINES:
            raise forms.ValidationError(f"These are {len(lines)} lines; at most {MOST_LINES} are kept.")
        if long := next((line for line in lines if len(line) > LONGEST_LINE), ""):
            raise forms.ValidationError(f"“{long[:40]}…” has more than {LONGEST_LINE} letters. Shorten it.")
        return lines


def _area(rows: int, **more: str) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, **more})


class EntryForm(forms.Form):
    """A new entry."""

    key = forms.UUIDField(
        widget=forms.HiddenInput,
        error_messages=dict.fromkeys(["required", "invalid"], "This form is broken. Open it anew."),
    )
    kind = forms.ChoiceField(
        choices=[("person", "A person"), ("style", "A style")],
        widget=forms.RadioSelect,
        error_messages={"required": "Say whether it is a person or a style."},
    )
    name = Line(
        max_length=LONGEST_LINE,
        error_messages={"required": "Give the whole name.", "max_length": "The name is longer than 120 letters."},
    )
    aliases = Lines(required=False, max_length=6000, widget=_area(3))
    alone = forms.BooleanField(required=False)
    unlike = Lines(required=False, max_length=6000, widget=_area(2))
    basis = forms.ChoiceField(
        choices=[("", "On what ground?"), *Protected.Basis.choices],
        error_messages={"required": "Choose the ground that it rests on."},
    )
    document = forms.CharField(
        max_length=2000,
        widget=_area(3),
        error_messages={
            "required": "Say what documents it, and where that is kept: without a document there is no entry.",
            "max_length": "It is longer than 2,000 letters. Name the document instead of copying it.",
        },
    )
    expires_on = forms.DateField(
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={"invalid": "This is no date. Write it as 2027-05-31."},
    )
    outright = forms.BooleanField(required=False)
    instead_en = Line(required=False, max_length=300, error_messages={"max_length": "At most 300 letters."})
    instead_it = Line(required=False, max_length=300, error_messages={"max_length": "At most 300 letters."})
    # Asked for only where the names are ordinary words.
    sure = forms.BooleanField(required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = uuid.uuid4
        for name in HELPED:
            self.fields[name].widget.attrs["aria-describedby"] = f"help-{name}"
        self.asks_whether_sure = False

    def clean_document(self) -> str:
        document = str(self.cleaned_data["document"]).strip()
        if len(document) < 3:
            raise forms.ValidationError("Name the document so that another person finds it.")
        return document

    def clean_expires_on(self) -> datetime | None:
        """It protects until this day is over."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        if not timezone.now().date() <= day <= timezone.now().date() + timedelta(days=366 * 100):
            raise forms.ValidationError("This day is over, or more than a hundred years away.")
        return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "name" not in cleaned:
            return cleaned
        # What can be said of the names is said at once, also where the kind is still to be chosen.
        kind = KINDS.get(cleaned.get("kind", ""), "persons")
        entry = self._entry()
        self._check_found(entry, kind)
        self._check_unlike(entry)
        if "kind" in cleaned:
            self._check_instead(entry, kind)
        self._check_ordinary(entry)
        return cleaned

    def _entry(self) -> Entry:
        cleaned = self.cleaned_data
        return Entry(
            name=cleaned["name"],
            aliases=cleaned.get("aliases", ()),
            alone=cleaned.get("alone", False),
            unlike=cleaned.get("unlike", ()),
        )

    def _check_found(self, entry: Entry, kind: Kind) -> None:
        """What no prompt could be found to say would protect nobody, and look as if it did."""
        for field, said in (("name", entry.name), *(("aliases", alias) for alias in entry.aliases)):
            if len("".join(tokens(said))) < 2:
                self.add_error(field, f"“{said}” has fewer than two letters that can be looked for.")
            elif not _finds(Entry(said), f"a portrait of {said}", kind):
                self.add_error(field, f"“{said}” would not be found in a prompt. Write it in at most five words.")

    def _check_unlike(self, entry: Entry) -> None:
        own = names.forms_of([entry]).whole
        for said in entry.unlike:
            if tuple(tokens(said)) in own:
                self.add_error("unlike", f"“{said}” is how the entry itself is found; here stands what is not meant.")

    def _check_instead(self, entry: Entry, kind: Kind) -> None:
        said = {language: self.cleaned_data.get(f"instead_{language}", "") for language in LANGUAGES}
        if not any(said.values()):
            return
        if kind == "persons":
            self.add_error("instead_en", "Other words are for styles. A person is described without being named.")
        elif not all(said.values()):
            missing = next(language for language, words in said.items() if not words)
            self.add_error(f"instead_{missing}", "Give other words in both languages, or in neither.")
        for language, words in said.items():
            if _finds(entry, words, kind) or any(names.named(read, kind) for read in readings(words)):
                self.add_error(f"instead_{language}", "These words name a protected style themselves.")

    def _check_ordinary(self, entry: Entry) -> None:
        """A lone word that stands in dictionaries stands in prompts that mean nobody."""
        lone = [said for said in (entry.name, *entry.aliases) if len(tokens(said)) == 1 and is_known(tokens(said)[0])]
        surname = tokens(entry.name)[-1:] if entry.alone else []
        lone += [word for word in surname if is_known(word) and word not in lone]
        self.asks_whether_sure = bool(lone)
        if lone and not self.cleaned_data.get("sure"):
            words = ", ".join(f"“{word}”" for word in lone)
            self.add_error("sure", f"Prompts that mean nobody say {words}, and would be refused. Is that meant?")

    def facts(self) -> Facts:
        """What was filled in, as an entry says it."""
        cleaned = self.cleaned_data
        is_style = cleaned["kind"] == Protected.Kind.STYLE
        instead = {language: cleaned[f"instead_{language}"] for language in LANGUAGES}
        return Facts(
            key=cleaned["key"],
            kind=cleaned["kind"],
            name=cleaned["name"],
            aliases=[alias for alias in cleaned["aliases"] if alias != cleaned["name"]],
            alone=cleaned["alone"],
            unlike=cleaned["unlike"],
            basis=cleaned["basis"],
            document=cleaned["document"],
            expires_at=cleaned["expires_on"],
            outright=cleaned["outright"] and is_style,
            instead=instead if is_style and all(instead.values()) else {},
        )


def _finds(entry: Entry, text: str, kind: Kind) -> bool:
    """Whether an entry, all by itself, is found in a text."""
    known = names.forms_of([entry])
    read: Sequence[Sequence[str]] = readings(text)
    return any(names.spotted(words, kind, nearly=False, known=known) for words in read)


class EndingForm(forms.Form):
    """Why an entry ends."""

    why = forms.ChoiceField(
        choices=[("", "Why?"), *Ending.Why.choices], error_messages={"required": "Choose why it ends."}
    )
    note = forms.CharField(
        min_length=3,
        max_length=500,
        widget=_area(2),
        error_messages={
            "required": "Say what it ends upon: a letter, an order, what was wrong.",
            "min_length": "Say it in a few words more.",
            "max_length": "At most 500 letters.",
        },
    )


class PictureForm(forms.Form):
    """A picture of whom an entry protects."""

    picture = forms.FileField(
        error_messages={
            "required": "Choose a picture.",
            "empty": "The file is empty. Choose another.",
            "invalid": "Choose a picture.",
        }
    )
