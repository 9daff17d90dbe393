"""Whether the registry can be read and its faces opened; and seal these anew after a key was turned over.

It shows no names: who looks at entries does so at the desk, where each look is written down.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count

from moderation import registry, sealing
from moderation.actions import registry as keeping
from moderation.models import Descriptor, Protected


class Command(BaseCommand):
    """`check`: how many entries protect now, on what ground, and whether every face opens. `rekey`: seal every face
    with the first of REGISTRY_KEYS, after which the others can be taken away."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="check | rekey")
        acts.add_parser("check", help="whether everybody in it is protected")
        acts.add_parser("rekey", help="seal the faces with the newest key")

    def handle(self, *args: Any, **options: Any) -> None:
        {"check": self._check, "rekey": self._rekey}[options["act"]]()

    def _check(self) -> None:
        current = Protected.objects.current()
        for row in current.values("kind", "basis").annotate(number=Count("pk")).order_by("kind", "basis"):
            ground = Protected.Basis(row["basis"]).label
            self.stdout.write(f"{row['number']:8,} {Protected.Kind(row['kind']).label}s, on {ground}")
        if not current.exists():
            self.stdout.write("Nobody was added here; the house's own files protect whom they name.")
        broken = []
        kept = Descriptor.objects.kept().select_related("template").order_by("pk")
        for one in kept.iterator():
            try:
                registry.opened(one)
            except sealing.SealBroken as error:
                broken.append(str(error))
            except sealing.SealingKeysUnusable as error:
                raise CommandError(str(error)) from error
        self.stdout.write(f"{kept.count() - len(broken):8,} faces open")
        if broken:
            lines = "\n".join(broken[:20])
            raise CommandError(f"{len(broken):,} of them do not open, so no picture is judged:\n{lines}")

    def _rekey(self) -> None:
        try:
            number = keeping.rekey()
        except (sealing.SealBroken, sealing.SealingKeysUnusable) as error:
            raise CommandError(f"Nothing was sealed anew. {error}") from error
        self.stdout.write(f"{number:,} faces are sealed with the first key. The others can be taken away.")
