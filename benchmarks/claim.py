"""Claiming must not grow with the queue. Target: under 10 ms at 100,000 jobs, at most x1.5 of 1,000."""

import statistics

from benchmarks.world import crowd, line, select_one, times, world


def line_everybody_up() -> None:
    """A turn for each person who has a queued job."""
    from django.db import connections

    with connections["owner"].cursor() as cursor:
        cursor.execute("TRUNCATE generation_turn")
        cursor.execute(
            """
            INSERT INTO generation_turn (person_id, next_job_id, next_model, next_key, virtual_time, weight, frozen)
            SELECT DISTINCT ON (person_id) person_id, id, model, batch_key, 0, 1, false
              FROM generation_job WHERE state = 'queued' ORDER BY person_id, queued_at, id
            """
        )
        cursor.execute("ANALYZE")


def main() -> None:
    with world():
        from generation.turns import Affinity, claim

        medians = {}
        for jobs in (1_000, 100_000):
            crowd(jobs, 1_000, state="queued")
            line_everybody_up()
            affinity = Affinity()
            beside = times(select_one, 300)
            for batch in (1, 8):

                def take(batch: int = batch, affinity: Affinity = affinity) -> None:
                    claim(worker="bench", affinity=affinity, batch_sizes={"fake": batch})

                times(take, 5)
                taken = times(take, 60)
                medians[jobs, batch] = statistics.median(taken)
                target = "target p50 < 10 ms" if batch == 1 else ""
                line(f"claim, {jobs:,} queued, batch of {batch}", taken, beside, target=target)
        for batch in (1, 8):
            growth = medians[100_000, batch] / medians[1_000, batch]
            print(f"growth from 1,000 to 100,000 jobs, batch of {batch}: x{growth:.2f}  target <= x1.5")


if __name__ == "__main__":
    main()
