"""A backlog of one-picture jobs through the real worker and the real gate, beside plain diffusers: on a GPU.

`python -m benchmarks.engine.backlog`. A model of the size of Stable Diffusion 1.5 with random weights; PostgreSQL,
broker, relay, sweeper, a drawing worker and a few screening workers with the house's classifiers; a hundred people.
The clock runs from the first drawing to the last verdict. Then the same pictures by a loop of plain diffusers: tuned as
the card tunes the engine, and as diffusers comes (bfloat16, one after the other).
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.engine import large, plain
from benchmarks.world import ROOT, world
from generation.engine import DrawItem, load_catalogue
from generation.engine.loading import Resident

NAME, SIDE, BATCH = "sd-sized", 512, 8
JOBS, PEOPLE = int(os.environ.get("BACKLOG_JOBS", "200")), 100
SCREENERS = 4
WORDS = ("a red apple on blue", "a rocket on black", "a yellow star on green", "a cat on white")


def items(number: int, *, steps: int, side: int = SIDE) -> list[DrawItem]:
    """As many as there are people to send them."""
    return [
        DrawItem(
            key=str(index), prompt=WORDS[index % len(WORDS)], negative_prompt="", seed=index, width=side, height=side,
            steps=steps, guidance_scale=5.0,
        )
        for index in range(number)
    ]  # fmt: skip


def through_worker_and_gate(folder: Path, urls: dict[str, str]) -> float:
    """Seconds from the first drawing of the backlog to the last verdict on it."""
    from django.db.models import Max

    from accounts.models import User
    from generation.models import Job, Medium
    from journal.transactions import step
    from moderation.models import Case
    from tests import path
    from tests.path import until
    from tests.people import give_credits
    from tests.processes import Platform

    with step("bench.people"):
        people = [User.objects.create(email=f"p{number}@bench.example", password="!") for number in range(PEOPLE)]
    for person in people:
        give_credits(person, 1000)

    def send(number: int) -> list[Any]:
        return [path.submit(people[index % PEOPLE], WORDS[index % len(WORDS)]).pk for index in range(number)]

    def judged(jobs: list[Any]) -> bool:
        media = Medium.objects.filter(job__in=jobs)
        lost = media.filter(state=Medium.State.FAILED).count()
        assert not lost, f"{lost} were not drawn: {platform.log('draw')[-3000:]}"
        return media.filter(case__isnull=False).exclude(case__state=Case.State.PENDING).count() == len(jobs)

    platform = Platform(folder / "platform", urls)
    try:
        platform.start("web", "relay", "sweep", "till", "draw")
        for number in range(SCREENERS):
            platform.start("screen", OMP_NUM_THREADS="3")
            platform.running[f"screen-{number}"] = platform.running.pop("screen")
        platform.await_ready(seconds=240)
        # What is compiled is compiled for a full batch and for whatever is left over.
        warm = send(3 * BATCH)
        until(lambda: judged(warm), seconds=300, what=f"the warm-up ({platform.logs()})")
        worker = platform.running["draw"].pid
        os.killpg(worker, signal.SIGSTOP)
        jobs = send(JOBS)
        until(lambda: not Job.objects.filter(pk__in=jobs).exclude(state=Job.State.QUEUED).exists(), seconds=120)
        os.killpg(worker, signal.SIGCONT)
        began = time.time()
        until(lambda: judged(jobs), seconds=300, what=f"the backlog ({platform.logs()})")
        ended = Medium.objects.filter(job__in=jobs).aggregate(at=Max("case__screened_at"))["at"].timestamp()
        print(f"the last verdict came after {ended - began:.2f} s, and was seen after {time.time() - began:.2f} s")
        return float(ended - began)
    finally:
        platform.stop()


def main() -> None:
    if not torch.cuda.is_available():
        sys.exit("This one needs a GPU. On a CPU the worker alone is measured: python -m benchmarks.engine")
    with tempfile.TemporaryDirectory(prefix="vaglio-bench-weights-") as place:
        catalogue, weights = Path(place) / "catalogue", Path(place) / "weights"
        catalogue.mkdir()
        shutil.copytree(ROOT / "training" / "weights" / "house-clip", weights / "house-clip")
        large.write(large.stable_diffusion("cuda"), NAME, side=SIDE, batch=BATCH, catalogue=catalogue, weights=weights)
        torch.cuda.empty_cache()
        with world(
            VAGLIO_ENGINE="diffusers",
            VAGLIO_CLASSIFIERS="house",
            VAGLIO_POLICIES=str(ROOT / "moderation" / "policies"),
            VAGLIO_CATALOGUE=str(catalogue),
            VAGLIO_WEIGHTS=str(weights),
            LEASE_SECONDS="30",
        ) as made:
            ours = JOBS / through_worker_and_gate(made.folder, made.urls)
        card = load_catalogue(catalogue, weights_root=weights)[NAME]
        steps = card.first.steps.default
        tuned = Resident(card, "cuda").pipeline(card.first)
        alike = plain.rate(tuned, items(BATCH, steps=steps), batch=BATCH, rounds=8)
        usual = large.stable_diffusion("cuda").to("cuda")
        usual.set_progress_bar_config(disable=True)
        default = plain.rate(usual, items(1, steps=steps), batch=1, rounds=12)
    print(f"{torch.cuda.get_device_name()}, {SIDE} x {SIDE}, {steps} guided steps, {JOBS} jobs of {PEOPLE} people")
    print(f"through worker and gate  {ours:7.2f} pictures/s")
    print(f"diffusers, tuned alike   {alike:7.2f} pictures/s  x{ours / alike:.3f} (0.97)")
    print(f"diffusers as it comes    {default:7.2f} pictures/s  x{ours / default:.2f} (1.5)")


if __name__ == "__main__":
    main()
