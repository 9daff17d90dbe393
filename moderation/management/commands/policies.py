"""Check policies, compare two sets of them, or try one on what was screened."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from moderation import policy_files
from moderation.policy import PolicyError
from moderation.rules import policies
from moderation.simulation import OUTCOMES, Report, differences, simulate


class Command(BaseCommand):
    """`check [FOLDER ...]`, `diff FOLDER ...`, `simulate FOLDER ... [--days N]`; without a folder, the house's own."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="check | diff | simulate")
        for name, what in (
            ("check", "read every policy, and say what is written wrongly"),
            ("diff", "what is other in these policies than in the house's"),
            ("simulate", "what these policies would have said of what was screened"),
        ):
            act = acts.add_parser(name, help=what)
            act.add_argument("folders", nargs="*" if name == "check" else "+", type=Path)
            if name == "simulate":
                act.add_argument("--days", type=float, default=30.0, help="of how many days back (30)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            house = policies()
            other = house
            if options["folders"]:
                other = policy_files.load(*options["folders"], shadow=settings.SHADOW_CLASSIFIERS)
        except PolicyError as error:
            raise CommandError(str(error)) from error
        if options["act"] == "check":
            for policy in other:
                state = "in shadow" if policy.is_shadow else f"on {policy.share:.0%}" if policy.share < 1 else "active"
                self.stdout.write(f"{policy.code:24} severity {policy.severity}  {state:10} {policy.title}")
            self.stdout.write(f"{len(other.policies)} policies, version {other.version[:16]}")
        elif options["act"] == "diff":
            lines = differences(house, other)
            self.stdout.write("\n".join(lines) or "Nothing is other.")
        else:
            now = timezone.now()
            since = now - timedelta(days=options["days"])
            self._tell(simulate(house, other, since=since, until=now))

    def _tell(self, report: Report) -> None:
        if not report.screenings:
            self.stdout.write("Nothing was screened in that time.")
            return
        self.stdout.write(f"{report.screenings:,} screenings of {report.days:g} days, judged anew\n")
        for subject, arrows in sorted(report.arrows.items()):
            self.stdout.write(f"{subject}:")
            for before in OUTCOMES:
                cells = "  ".join(f"{after} {arrows[before, after]:7,}" for after in OUTCOMES)
                if any(arrows[before, after] for after in OUTCOMES):
                    self.stdout.write(f"  was {before:7} becomes  {cells}")
        self.stdout.write("\npolicy                    asks, before and after   blocks, before and after")
        for code, moved in sorted(report.policies.items()):
            asked, blocked = moved.asked, moved.blocked
            self.stdout.write(f"{code:24} {asked[0]:10,} {asked[1]:10,} {blocked[0]:14,} {blocked[1]:10,}")
        old, new = report.load(0), report.load(1)
        self.stdout.write(
            f"\nPeople would have had {new:,} to look at instead of {old:,}: "
            f"{new / report.days:,.1f} a day instead of {old / report.days:,.1f}."
        )
        missed, refused = report.missed
        spared, cleared = report.spared
        if refused:
            self.stdout.write(f"Of {refused:,} that people refused, {missed:,} would now be cleared unseen.")
        if cleared:
            self.stdout.write(f"Of {cleared:,} that people cleared, {spared:,} would now need nobody.")
        self.stdout.write("What nobody ever looked at says nothing here.")
