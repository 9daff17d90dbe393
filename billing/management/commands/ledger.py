from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.models import Entry, Hold, Wallet
from billing.verify import differences


class Command(BaseCommand):
    """Recompute every balance, lot and hold from the entries, and list each difference."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", choices=["verify"])

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for difference in differences():
            self.stderr.write(str(difference))
            count += 1
        if count:
            raise CommandError(f"{count} places where the ledger contradicts itself.")
        self.stdout.write(
            f"The ledger is whole: {Entry.objects.count()} entries, {Hold.objects.count()} holds, "
            f"{Wallet.objects.count()} wallets."
        )
