"""Fit thresholds to what people found, and draw how each does."""

import re
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from moderation import policy_files
from moderation.policy import PolicySet
from moderation.quality.calibration import Curve, Key, curves, plot, rewritten, table
from moderation.quality.labels import of_a_folder, of_second_looks, of_the_desk
from moderation.rules import policies
from moderation.signals import Unarmed

MOST_DAYS = 36_500


class Command(BaseCommand):
    """Writes calibration.md, a plot for each signal, and policies with the proposed thresholds, which
    `manage.py policies simulate` tries. Nothing of the house is changed."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, required=True, help="an empty folder, or one to be made")
        parser.add_argument("--days", type=float, default=90.0, help="what people found in so many days (90)")
        parser.add_argument(
            "--media", type=Path, help="pictures in folders named after policies, and harmless, instead"
        )
        parser.add_argument("--most-held", type=float, default=0.02, help="of what is harmless, held at most (0.02)")

    def handle(self, *args: Any, **options: Any) -> None:
        out, most_held, days = options["out"], options["most_held"], options["days"]
        if not 0 <= most_held < 1:
            raise CommandError(f"--most-held is a share from 0 to 1, not {most_held:g}.")
        if not 0 < days <= MOST_DAYS:
            raise CommandError(f"--days is from 0 to {MOST_DAYS:,}, not {days:g}.")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CommandError(f"{out} is there already and is no empty folder: name another.")
        house, media = policies(), options["media"]
        found = curves(self._of_media(media, house) if media else self._of_people(days))
        if not found:
            raise CommandError("There are no labels: nothing was decided at the desk, no sample had its second look.")
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
            told = self._write(Path(folder) / "made", found, house, most_held)
            try:
                (Path(folder) / "made").rename(out)
            except OSError as error:
                raise CommandError(f"{out} was written to by somebody else meanwhile: name another.") from error
        self.stdout.write(told)
        self.stdout.write(f"Written to {out}. Try it: manage.py policies simulate {out / 'policies'}")

    def _write(self, out: Path, found: list[Curve], house: PolicySet, most_held: float) -> str:
        """Everything into a folder that nobody sees yet. Returns the table."""
        out.mkdir()
        now = {
            curve.key: threshold.review
            for curve in found
            for policy, threshold in house.thresholds("medium")
            if (policy.code, threshold.signal, threshold.model) == (curve.key.policy, curve.key.signal, curve.key.model)
            and curve.key.version.startswith(threshold.version)
        }
        told = table(found, now, most_held)
        (out / "calibration.md").write_text(told, encoding="utf-8")
        for curve in found:
            if curve.is_enough:
                key = curve.key
                name = re.sub(r"[^\w.-]", "_", f"{key.policy}.{key.signal}.{key.model}.{key.version[:12]}")
                (out / f"{name}.svg").write_text(plot(curve, now.get(key)), encoding="utf-8")
        proposed = {curve.key: curve.propose(most_held) for curve in found if curve.key in now}
        self._propose(out / "policies", {key: value for key, value in proposed.items() if value is not None})
        return told

    def _of_people(self, days: float) -> Any:
        since = timezone.now() - timedelta(days=days)
        yield from of_the_desk(since)
        yield from of_second_looks(since)

    def _of_media(self, folder: Path, house: PolicySet) -> Any:
        from moderation.classifiers.armoury import Armoury

        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder.")
        try:
            armoury = Armoury.load(settings.CLASSIFIERS, weights=settings.WEIGHTS, policies=house)
            yield from of_a_folder(folder, armoury, house)
        except (Unarmed, ValueError) as error:
            raise CommandError(str(error)) from error

    def _propose(self, out: Path, proposed: dict[Key, float]) -> None:
        """The house's policies, with these thresholds."""
        out.mkdir()
        for folder in settings.POLICIES:
            for path in sorted(Path(folder).glob("*.toml")):
                changes = {(key.signal, key.model): value for key, value in proposed.items() if key.policy == path.stem}
                (out / path.name).write_text(rewritten(path.read_text(encoding="utf-8"), changes), encoding="utf-8")
        policy_files.load(out)
