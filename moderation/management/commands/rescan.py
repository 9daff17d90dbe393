"""Look again at what is out: what the sieve of today would not release is asked about at the desk."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from moderation.arming import load_armoury
from moderation.rescan import Tally, rescan
from moderation.rules import policies
from moderation.signals import MachineryFault, Unarmed


class Command(BaseCommand):
    """After a policy, a model or a list has changed. Decisions of before keep their version.

    What a list names under a severe policy is taken back at once; about anything else a moderator is asked, and it
    stays out until they say otherwise. Run again, it asks nothing twice.
    """

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--policy", default="", help="ask for what this policy says alone")
        parser.add_argument("--since", help="only what was released from this day on, as 2026-11-30")
        parser.add_argument("--after", type=int, default=0, help="go on after this case")
        parser.add_argument("--files", action="store_true", help="read every file, where the classifiers are")
        parser.add_argument("--dry-run", action="store_true", help="count, and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        house, code = policies(), options["policy"]
        if code and house.named(code) is None:
            raise CommandError(f"There is no policy {code!r}; there are {', '.join(one.code for one in house)}.")
        reached = Tally(last=options["after"])

        def tell(tally: Tally) -> None:
            nonlocal reached
            reached = tally
            self.stderr.write(f"{self._said(tally)}; go on with --after {tally.last}")

        try:
            done = rescan(
                load_armoury, policy=code, since=_day(options["since"]), after=options["after"],
                with_files=options["files"], is_dry=options["dry_run"], tell=tell,
            )  # fmt: skip
        except Unarmed as error:
            raise CommandError(
                f"Some files have to be looked at, and {error}. Run it where the screening process is installed."
            ) from error
        except MachineryFault as error:
            raise CommandError(f"{error}. Go on with --after {reached.last}.") from error
        self.stdout.write(self._said(done))
        if options["dry_run"]:
            self.stdout.write("Nothing was changed.")

    def _said(self, tally: Tally) -> str:
        return (
            f"{tally.looked:,} looked at, {tally.files:,} of them by their files; "
            f"{tally.asked:,} asked about, {tally.withdrawn:,} taken back"
        )


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return timezone.make_aware(datetime.strptime(text, "%Y-%m-%d"))
    except ValueError as error:
        raise CommandError(f"--since is a day as 2026-11-30, not {text!r}.") from error
