from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from journal.seal import HeadFile, verify


class Command(BaseCommand):
    """Verify the audit chain: finds an edited, removed or swapped line and a cut tail."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["verify"])
        parser.add_argument("--head-file", type=Path, default=settings.AUDIT_HEAD_FILE)

    def handle(self, *args: Any, **options: Any) -> None:
        findings = list(verify(HeadFile(options["head_file"])))
        for finding in findings:
            self.stderr.write(f"{finding.place}: {finding.what}")
        if findings:
            raise CommandError(f"{len(findings)} places where the audit was changed.")
        self.stdout.write("The audit chain is whole.")
