"""Import lists of perceptual hashes, show what is on them, take off what should not be."""

import getpass
import re
import socket
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, Max, Min, Q

from moderation.actions import known
from moderation.models import BlockedPicture
from moderation.provenance.hashes import BITS, LEAST_QUALITY
from moderation.rules import policies

DIGITS = re.compile(r"[0-9a-fA-F]{64}")
HEADERS = {"hash", "pdq", "pdq_hash", "pdq hash"}
# A hash has a bit for each frequency above the middle one, so half of them. What is far from that is of a picture with
# nothing in it, and would be near to every other such.
LEAST_BITS = 64
MOST_TOLD = 20


class Command(BaseCommand):
    """`import FILE --source NAME --policy CODE`, `list [--source NAME]`, `retire --hash | --source | --case, --reason`.

    A file has a PDQ hash of 64 hexadecimal digits a line, or CSV with the hash first, then its quality if that is a
    number, then what the list says of it. Nothing of a file with a bad line is imported.
    """

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="import | list | retire")
        act = acts.add_parser("import", help="put the hashes of a file on a list")
        act.add_argument("file", type=Path)
        act.add_argument("--source", required=True, help="the name of the list")
        act.add_argument("--policy", required=True, help="the policy that its pictures break")
        act.add_argument("--again", action="store_true", help="also those that were retired from this list")
        act = acts.add_parser("list", help="how many pictures each list names")
        act.add_argument("--source", default="", help="the hashes of this list, one a line")
        act = acts.add_parser("retire", help="look for them no more")
        act.add_argument("--hash", default="", help="of this hash")
        act.add_argument("--source", default="", help="of this list")
        act.add_argument("--case", type=int, help="what this case left when it was refused")
        act.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        {"import": self._import, "list": self._list, "retire": self._retire}[options["act"]](options)

    def _import(self, options: dict[str, Any]) -> None:
        source, code = options["source"].strip(), options["policy"]
        if not source or len(source) > 80 or source == BlockedPicture.REFUSED_HERE:
            raise CommandError("--source is the name of a list, of 80 letters at most, and not what is refused here.")
        house = policies()
        if house.named(code) is None:
            raise CommandError(f"There is no policy {code!r}; there are {', '.join(one.code for one in house)}.")
        try:
            data = options["file"].read_bytes()
            hashes = read(data.decode("utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read: {error}") from error
        except BadList as bad:
            raise CommandError(f"Nothing was imported from {options['file']}.\n{bad}") from bad
        try:
            done = known.import_list(
                hashes, source=source, policy_code=code, file_sha256=sha256(data).hexdigest(), by=operator(),
                again=options["again"],
            )  # fmt: skip
        except known.OtherPolicy as error:
            raise CommandError(f"Nothing was imported. {error}") from error
        self.stdout.write(f"{done.added:,} added to “{source}”, {done.there:,} were there already.")
        if done.retired:
            self.stdout.write(f"{done.retired:,} had been retired and stay so; --again brings them back.")
        if done.added:
            self.stdout.write("What is out already is asked about by: manage.py rescan --policy known.picture")

    def _list(self, options: dict[str, Any]) -> None:
        if options["source"]:
            named = BlockedPicture.objects.filter(source=options["source"]).order_by("pk")
            for row in named.iterator():
                gone = row.retired_at
                state = f" retired {gone:%Y-%m-%d} by {row.retired_by}: {row.retired_reason}" if gone else ""
                self.stdout.write(f"{row.digits} {row.policy_code} {row.added_at:%Y-%m-%d}{state}")
            return
        counted = BlockedPicture.objects.values("source", "policy_code").order_by("source", "policy_code")
        found = list(
            counted.annotate(
                standing=Count("pk", filter=Q(retired_at__isnull=True)),
                retired=Count("pk", filter=Q(retired_at__isnull=False)),
                first=Min("added_at"),
                last=Max("added_at"),
            )
        )
        if not found:
            self.stdout.write("There is no list.")
        for each in found:
            self.stdout.write(
                f"{each['source']:30} {each['policy_code']:20} {each['standing']:10,} stand {each['retired']:8,} "
                f"retired  {each['first']:%Y-%m-%d} to {each['last']:%Y-%m-%d}"
            )

    def _retire(self, options: dict[str, Any]) -> None:
        digits, source, case, reason = (options[name] for name in ("hash", "source", "case", "reason"))
        if not (digits or source or case is not None):
            raise CommandError("Say what to retire: --hash, --source or --case.")
        if digits and not DIGITS.fullmatch(digits):
            raise CommandError(f"--hash has 64 hexadecimal digits, not {digits!r}.")
        if len(reason.strip()) < 3:
            raise CommandError("--reason says why, in a few words: it is kept.")
        done = known.retire(source=source, digits=digits.lower(), case=case, by=operator(), reason=reason.strip()[:500])
        self.stdout.write(f"{done:,} retired." if done else "Nothing of that stands on a list.")


class BadList(Exception):
    """Lines of a file that are no hashes, each with its number and what is wrong with it."""


def read(text: str) -> dict[str, str]:
    """The hashes of a file, each with what is said of it. Raises BadList, naming every bad line up to twenty."""
    hashes: dict[str, str] = {}
    wrong: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        first, *rest = (cell.strip().strip('"') for cell in line.split(","))
        if not line.strip() or first.startswith("#") or (not hashes and not wrong and first.lower() in HEADERS):
            continue
        quality = rest.pop(0) if rest and re.fullmatch(r"-?\d+", rest[0]) else None
        if (what := _wrong(first, quality)) is not None:
            wrong.append(f"Line {number}: {what}")
            continue
        hashes.setdefault(first.lower(), ", ".join(cell for cell in rest if cell)[:200])
    if wrong:
        more = f"\n… and {len(wrong) - MOST_TOLD:,} more." if len(wrong) > MOST_TOLD else ""
        raise BadList("\n".join(wrong[:MOST_TOLD]) + more)
    if not hashes:
        raise BadList("There is no hash in it.")
    return hashes


def _wrong(digits: str, quality: str | None) -> str | None:
    """What is wrong with a line; None where nothing is."""
    if not DIGITS.fullmatch(digits):
        return f"{digits[:70]!r} is no PDQ hash: it has 64 hexadecimal digits."
    if quality is not None and not 0 <= int(quality) <= 100:
        return f"a quality is from 0 to 100, not {quality}."
    if quality is not None and int(quality) < LEAST_QUALITY:
        return f"its quality is {quality}; below {LEAST_QUALITY} a picture cannot be told from others."
    if not LEAST_BITS <= int(digits, 16).bit_count() <= BITS - LEAST_BITS:
        return "it is the hash of a picture with nothing in it, and would find every other such."
    return None


def operator() -> str:
    """Who runs this command, as their machine knows them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"
    return f"{name}@{socket.gethostname()}"[:120]
