from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from journal.heads import HeadFile
from journal.seal import verify, write_heads


class Command(BaseCommand):
    """Verify the audit: finds what was edited, removed, swapped, cut off, put in past it or left without a seal.

    `write-heads` writes the heads that the file outside the database lacks, if nothing else is wrong. Do it after you
    know how the file was lost, moved or shortened: the heads that you write vouch for what the database holds now.
    """

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["verify", "write-heads"])
        parser.add_argument("--head-file", type=Path, default=settings.AUDIT_HEAD_FILE)

    def handle(self, *args: Any, **options: Any) -> None:
        head = HeadFile(options["head_file"])
        count = 0
        for finding in verify(head):
            if options["act"] == "write-heads" and finding.place == "head file":
                continue
            self.stderr.write(f"{finding.place}: {finding.what}")
            count += 1
        if count:
            raise CommandError(f"{count} places where the audit was changed.")
        if options["act"] == "write-heads":
            self.stdout.write(f"{write_heads(head, most=None)} heads were written to {head.path}.")
        else:
            self.stdout.write("The audit chain is whole.")
