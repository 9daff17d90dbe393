"""The catalogue on this machine: what there is, bringing it, checking it, trying it."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generation.engine import ModelCard, WeightsError, verify
from generation.engine.folder import SUMS
from generation.offer import cards, catalogue


class Command(BaseCommand):
    """Exit status 1 when anything asked for could not be done; the others are still done."""

    # It reads cards and files: neither the database nor an address is asked.
    requires_system_checks = ()

    help = "List the models of the catalogue, fetch their weights, verify them, or load and try them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("what", choices=["list", "fetch", "verify", "warm"])
        parser.add_argument("names", nargs="*", metavar="NAME", help="models; none means all that are here")

    def handle(self, *args: Any, **options: Any) -> None:
        known = catalogue()
        if unknown := sorted(set(options["names"]) - set(known)):
            raise CommandError(f"There is no model {', '.join(unknown)}. Known are: {', '.join(known)}.")
        what = options["what"]
        if what == "list":
            for card in known.values():
                self._tell(card)
            return
        if what == "fetch" and not options["names"]:
            raise CommandError("Name what to fetch: weights are large, and their licences are for you to accept.")
        chosen = [known[name] for name in options["names"]] or [card for card in known.values() if _is_here(card)]
        failed = [card.name for card in chosen if not self._do(what, card)]
        if failed:
            raise CommandError(f"Not done: {', '.join(failed)}.")

    def _do(self, what: str, card: ModelCard) -> bool:
        """One model. What went wrong is said, and the next one is tried."""
        acts = {"fetch": self._fetch, "verify": self._verify, "warm": self._warm}
        try:
            acts[what](card)
        except (WeightsError, OSError) as error:
            self.stderr.write(f"{card.name}: {error}")
            return False
        return True

    def _tell(self, card: ModelCard) -> None:
        state = "sold" if card.name in cards() else "here" if _is_here(card) else "to be fetched"
        if not all(source.revision for source in card.sources):
            state = "not pinned"
        may = "commercial use" if card.commercial_ok else "no commercial use"
        self.stdout.write(f"{card.name:28} {state:14} {card.memory_gb:5.1f} GB  {card.licence}, {may}")
        self.stdout.write(f"{'':28} {', '.join(card.modes)}")
        if card.use_limits:
            self.stdout.write(f"{'':28} {card.use_limits}")

    def _fetch(self, card: ModelCard) -> None:
        from generation.engine.fetching import fetch

        if card.use_limits:
            self.stdout.write(f"{card.name}: {card.licence}. {card.use_limits}")
        sums = fetch(card, tell=self.stdout.write)
        verify(card)
        self.stdout.write(
            f'{card.name} is here. To have every start check for just these files: sums_sha256 = "{sums}"'
        )

    def _verify(self, card: ModelCard) -> None:
        verify(card)
        self.stdout.write(f"{card.name}: every file is as listed.")

    def _warm(self, card: ModelCard) -> None:
        from generation.engine.diffusion import DiffusersEngine

        engine = DiffusersEngine()
        start = time.monotonic()
        for way in card.modes.values():
            taken = engine.load(card, way)
            took = time.monotonic() - start
            self.stdout.write(
                f"{card.name} {way.mode.name}: {taken / 1e9:.2f} GB on {engine.device} after {took:.1f} s"
            )


def _is_here(card: ModelCard) -> bool:
    return (card.folder / SUMS).is_file()
